//! States that are read when somebody asks: queues, pools, the ledger, the process.

use metrics::{Counter, Gauge};
use procfs::WithCurrentSystemInfo;
use procfs::process::{LimitValue, Process};
use store::StoreState;

use super::Registry;

/// Handles for states.
#[derive(Debug)]
pub struct StateMeters {
    pub(super) desk_queue: Gauge,
    pub(super) desk_background_queue: Gauge,
    pub(super) is_store_up: Gauge,
    pub(super) ledger: LedgerGauges,
    store: StoreMeters,
    process: ProcessMeters,
}

#[derive(Debug)]
struct StoreMeters {
    readings: Counter,
    waits: Counter,
    waited: Gauge,
    refusals: Counter,
    opened: Counter,
    lost: Counter,
    wal: Gauge,
    wal_pending: Gauge,
    checkpoint_age: Gauge,
}

#[derive(Debug)]
struct ProcessMeters {
    resident_memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    cpu_seconds: Counter,
    start_time: Gauge,
}

#[derive(Debug)]
pub(super) struct LedgerGauges {
    pub open_transactions: Gauge,
    pub queued_instructions: Gauge,
    pub frozen_products: Gauge,
    pub oldest_credit_age: Gauge,
}

/// What one network says of itself.
#[derive(Clone, Debug)]
pub struct NetworkGauges {
    pub(super) is_up: Gauge,
    pub(super) next_nonce: Gauge,
    pub(super) used_nonces: Gauge,
    pub(super) head_block: Gauge,
    pub(super) finalized_block: Gauge,
    pub(super) signer_balance: Gauge,
}

impl NetworkGauges {
    pub(super) fn register(registry: &Registry, network: &str) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[("network", network)]);
        Self {
            is_up: gauge("scrip_ledger_up", "1 where the network answered when the metrics were asked for."),
            next_nonce: gauge("scrip_ledger_next_nonce", "The registrar's next nonce, by the database."),
            used_nonces: gauge("scrip_ledger_used_nonces", "Nonces of the registrar that are used in a finalized block."),
            head_block: gauge("scrip_ledger_head_block", "Height of the newest block."),
            finalized_block: gauge("scrip_ledger_finalized_block", "Height of the newest finalized block."),
            signer_balance: gauge("scrip_ledger_signer_balance_wei", "What the registrar has to pay gas with."),
        }
    }
}

impl StateMeters {
    pub(super) fn register(registry: &Registry) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[]);
        Self {
            desk_queue: gauge("scrip_desk_queue_length", "Requests that wait for the desk; more than 4096 are refused."),
            desk_background_queue: gauge("scrip_desk_background_queue_length", "Commands of background work that wait."),
            is_store_up: gauge("scrip_store_up", "1 where the database answered when the metrics were asked for."),
            ledger: LedgerGauges {
                open_transactions: gauge("scrip_ledger_open_transactions", "Ledger transactions in flight."),
                queued_instructions: gauge("scrip_ledger_queued_instructions", "Instructions that wait to be signed."),
                frozen_products: gauge(
                    "scrip_ledger_frozen_products",
                    "Products whose credits rest, because their ledger and the register differ. A person has to look.",
                ),
                oldest_credit_age: gauge(
                    "scrip_ledger_oldest_processing_credit_age_seconds",
                    "Age of the oldest credit that is processing; 0 where none is.",
                ),
            },
            store: StoreMeters::register(registry),
            process: ProcessMeters::register(registry),
        }
    }

    /// Shows what the store says of itself.
    pub fn show_store(&self, state: &StoreState) {
        let meters = &self.store;
        meters.readings.absolute(state.readings);
        meters.waits.absolute(state.waits);
        meters.waited.set(state.waited);
        meters.refusals.absolute(state.refusals);
        meters.opened.absolute(state.connections_opened);
        meters.lost.absolute(state.connections_lost);
        meters.wal.set(rounded(state.wal_bytes.into()));
        meters.wal_pending.set(rounded(state.wal_pending_bytes.into()));
        meters.checkpoint_age.set(state.checkpoint_age);
    }

    /// Shows what the kernel says of this process; where it says nothing, what it said before stays.
    pub fn show_process(&self) {
        let Ok(process) = Process::myself() else { return };
        let meters = &self.process;
        if let Ok(stat) = process.stat() {
            meters.resident_memory.set(rounded(stat.rss_bytes().get().into()));
            let ticks_per_second = procfs::ticks_per_second();
            meters.cpu_seconds.absolute(stat.utime.saturating_add(stat.stime).checked_div(ticks_per_second).unwrap_or(0));
            let started_s = stat.starttime.checked_div(ticks_per_second).unwrap_or(0);
            let booted_s = procfs::boot_time_secs().unwrap_or(0);
            meters.start_time.set(rounded(booted_s.saturating_add(started_s).into()));
        }
        if let Ok(open) = process.fd_count() {
            meters.open_fds.set(rounded(u128::try_from(open).unwrap_or(0)));
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            meters.max_fds.set(rounded(most.into()));
        }
    }
}

impl StoreMeters {
    fn register(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let gauge = |name, help| registry.gauge(name, help, &[]);
        Self {
            readings: counter("scrip_store_readings_total", "Readings of committed state."),
            waits: counter("scrip_store_reader_waits_total", "Readings that had to wait for a connection."),
            waited: gauge(
                "scrip_store_reader_waited_seconds",
                "Time that readings waited for a connection, summed since the start.",
            ),
            refusals: counter("scrip_store_reader_refusals_total", "Readings given up because every connection stayed in use."),
            opened: counter("scrip_store_connections_opened_total", "Connections made to the database, reconnects included."),
            lost: counter("scrip_store_connections_lost_total", "Connections that were found broken."),
            wal: gauge("scrip_store_wal_bytes", "Length of the embedded database's write-ahead log."),
            wal_pending: gauge("scrip_store_wal_pending_bytes", "Of it, what is not copied into the database yet."),
            checkpoint_age: gauge(
                "scrip_store_checkpoint_age_seconds",
                "How long the write-ahead log has been longer than a checkpoint should leave it; 0 while it is short.",
            ),
        }
    }
}

impl ProcessMeters {
    fn register(registry: &Registry) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[]);
        let cpu_seconds = "Processor time of user and system, in whole seconds.";
        Self {
            resident_memory: gauge("process_resident_memory_bytes", "Resident memory."),
            open_fds: gauge("process_open_fds", "Open file descriptors."),
            max_fds: gauge("process_max_fds", "The most that may be open."),
            cpu_seconds: registry.counter("process_cpu_seconds_total", cpu_seconds, &[]),
            start_time: gauge("process_start_time_seconds", "When the process started, in seconds since 1970."),
        }
    }
}

/// A whole number as Prometheus keeps it: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "a metric is for looking at; the format has no other numbers")]
pub(super) const fn rounded(number: u128) -> f64 {
    number as f64
}

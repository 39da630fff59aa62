//! Counting and comparing, in integers: rates per second, ratios per mille, times in microseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Failure;
use crate::findings::{Latency, Load};

/// The longest latency that is told apart, in microseconds: two minutes. Longer ones count as that.
const LATENCY_US_MAX: u64 = 120_000_000;
/// Significant decimal digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// What one connection, or all of them, met.
#[derive(Debug)]
pub struct Tally {
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that the server gave from memory.
    pub replayed: u64,
    /// Requests whose answer never came.
    pub unanswered: u64,
    /// Bytes of all answers' bodies.
    pub bytes: u64,
    latencies_us: Histogram<u64>,
}

/// A tally with the time it took.
#[derive(Debug)]
pub struct Measured {
    /// What was counted.
    pub tally: Tally,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

/// CPU times by who used them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuTimes {
    /// The harness itself.
    pub generator: Duration,
    /// The servers.
    pub server: Duration,
    /// The database's processes; `None` where the database is in the server.
    pub database: Option<Duration>,
}

impl CpuTimes {
    /// What was used after `before`.
    pub fn since(self, before: Self) -> Self {
        let database = self.database.zip(before.database).map(|(after, before)| after.saturating_sub(before));
        let [generator, server] = [(self.generator, before.generator), (self.server, before.server)]
            .map(|(after, before)| after.saturating_sub(before));
        Self { generator, server, database }
    }
}

impl Tally {
    /// An empty tally.
    pub fn new() -> Result<Self, Failure> {
        let latencies_us = Histogram::new_with_max(LATENCY_US_MAX, LATENCY_DIGITS)?;
        Ok(Self { statuses: BTreeMap::new(), replayed: 0, unanswered: 0, bytes: 0, latencies_us })
    }

    /// Counts an answer, and its latency where that counts.
    pub fn answered(&mut self, status: u16, is_replayed: bool, bytes: usize, latency: Option<Duration>) {
        self.bytes += bytes as u64;
        *self.statuses.entry(status).or_default() += 1;
        self.replayed += u64::from(is_replayed);
        if let Some(latency) = latency {
            self.latencies_us.saturating_record(micros(latency).clamp(1, LATENCY_US_MAX));
        }
    }

    /// Takes another tally in.
    pub fn add(&mut self, other: &Self) -> Result<(), Failure> {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.replayed += other.replayed;
        self.unanswered += other.unanswered;
        self.bytes += other.bytes;
        self.latencies_us.add(&other.latencies_us)?;
        Ok(())
    }

    /// Answers with a status from 200 to 299.
    pub fn succeeded(&self) -> u64 {
        self.statuses.range(200..300).map(|(_, count)| count).sum()
    }
}

impl Measured {
    /// What is written down. CPU times are those that passed during the load.
    pub fn load(&self, connections: usize, cpu: CpuTimes) -> Load {
        let succeeded = self.tally.succeeded();
        let per_request = |cpu: Duration| micros(cpu).checked_div(succeeded).unwrap_or(0);
        Load {
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            succeeded,
            statuses: self.tally.statuses.clone(),
            replayed: self.tally.replayed,
            unanswered: self.tally.unanswered,
            elapsed_us: micros(self.elapsed),
            per_second: per_second(succeeded, self.elapsed),
            answer_bytes: self.tally.bytes.checked_div(self.tally.statuses.values().sum()).unwrap_or(0),
            latency: self.latency(),
            generator_cpu_us_per_request: per_request(cpu.generator),
            server_cpu_us_per_request: per_request(cpu.server),
            database_cpu_us_per_request: cpu.database.map(per_request),
        }
    }

    fn latency(&self) -> Latency {
        let histogram = &self.tally.latencies_us;
        Latency {
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

/// Whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How many there are in a second, rounded down.
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    quotient(u128::from(count) * 1_000_000, elapsed.as_micros())
}

/// `part / whole` in thousandths, rounded down; 0 where there is no whole.
pub fn per_mille(part: u64, whole: u64) -> u64 {
    quotient(u128::from(part) * 1_000, u128::from(whole))
}

fn quotient(dividend: u128, divisor: u128) -> u64 {
    u64::try_from(dividend.checked_div(divisor).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_ratios_are_whole_numbers_rounded_down() {
        assert_eq!(per_second(10, Duration::from_millis(3)), 3_333);
        assert_eq!(per_second(1, Duration::ZERO), 0);
        assert_eq!(per_mille(2, 3), 666);
        assert_eq!(per_mille(2, 0), 0);
    }

    #[test]
    fn tallies_add_up_and_only_success_counts_as_such() {
        let mut all = Tally::new().unwrap();
        let mut one = Tally::new().unwrap();
        for latency_us in 1..=99 {
            one.answered(201, false, 10, Some(Duration::from_micros(latency_us)));
        }
        one.answered(503, false, 10, Some(Duration::from_millis(7)));
        one.answered(503, false, 10, None);
        one.unanswered += 1;
        all.add(&one).unwrap();
        all.answered(200, true, 10, Some(Duration::from_mins(10)));
        let measured = Measured { tally: all, elapsed: Duration::from_secs(2) };
        let times = |server_ms, database| CpuTimes {
            generator: Duration::from_millis(100),
            server: Duration::from_millis(server_ms),
            database,
        };
        let passed = times(300, Some(Duration::from_millis(70))).since(times(100, Some(Duration::from_millis(20))));
        assert_eq!(passed.database, Some(Duration::from_millis(50)));
        let load = measured.load(4, CpuTimes { generator: Duration::from_millis(10), database: None, ..passed });
        assert_eq!((load.succeeded, load.per_second, load.replayed, load.unanswered), (100, 50, 1, 1));
        assert_eq!(load.statuses, BTreeMap::from([(200, 1), (201, 99), (503, 2)]));
        assert_eq!((load.generator_cpu_us_per_request, load.server_cpu_us_per_request), (100, 2_000));
        assert_eq!(load.database_cpu_us_per_request, None);
        assert_eq!(load.latency.p50_us, 51);
        assert!(load.latency.max_us >= LATENCY_US_MAX, "{}", load.latency.max_us);
    }
}

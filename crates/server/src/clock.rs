//! The two clocks, and the only place that reads the machine's.
//!
//! Business time decides dates, block times and retention; in the sandbox it can be turned forwards. Tokens, sessions,
//! leases and rate limits use the machine's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use domain::instant::Instant;

/// Microseconds of a day.
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The name under which the turned distance is remembered.
pub const CLOCK_SETTING: &str = "clock_ahead_micros";

/// A clock that every part of one program shares.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_micros: Arc<AtomicI64>,
}

impl Clock {
    /// A clock whose business time is ahead of the machine's.
    #[must_use]
    pub fn ahead_by(micros: i64) -> Self {
        Self { ahead_micros: Arc::new(AtomicI64::new(micros.max(0))) }
    }

    /// Business time.
    #[must_use]
    pub fn now(&self) -> Instant {
        let machine = self.machine_now().micros();
        Instant::from_micros(machine.saturating_add(self.ahead_micros.load(Ordering::Acquire)))
    }

    /// The machine's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn machine_now(&self) -> Instant {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Instant::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// A clock that runs evenly and that nobody turns, for durations alone.
    #[must_use]
    pub fn monotonic(&self) -> std::time::Instant {
        std::time::Instant::now()
    }

    /// How far business time is ahead of the machine's, in microseconds.
    #[must_use]
    pub fn ahead_micros(&self) -> i64 {
        self.ahead_micros.load(Ordering::Acquire)
    }

    /// Sets how far business time is ahead; it never goes back.
    pub fn set_ahead_micros(&self, micros: i64) {
        self.ahead_micros.fetch_max(micros, Ordering::AcqRel);
    }
}

/// Whole days since 1970-01-01 in UTC.
#[must_use]
pub const fn day_of(now: Instant) -> i64 {
    now.micros().div_euclid(DAY_MICROS)
}

//! How fast one receiver is told.

use domain::instant::Instant;

/// Tries of one receiver at once.
const OPEN_MAX: usize = 4;
/// The longest pause of a receiver that fails, in seconds. Each further failure doubles the pause from one second on.
const PAUSE_S_MAX: u32 = 64;

/// How fast one receiver is told: four events at once while it takes them, one at a time with growing pauses while it does
/// not. The schedule of each event stays its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    resumes_at: Option<Instant>,
}

impl Pace {
    /// Whether one more may be sent, while so many are open.
    pub(super) fn admits(&self, now: Instant, open: usize) -> bool {
        let open_max = if self.failures == 0 { OPEN_MAX } else { 1 };
        open < open_max && self.resumes_at.is_none_or(|at| at <= now)
    }

    /// The receiver took one.
    pub(super) const fn succeeded(&mut self) {
        *self = Self { failures: 0, resumes_at: None };
    }

    /// The receiver did not take one, and may have said how long it wants to be left alone.
    pub(super) fn failed(&mut self, now: Instant, asked_s: Option<u32>) {
        self.failures = self.failures.saturating_add(1);
        let own_s = PAUSE_S_MAX.min(1 << self.failures.saturating_sub(1).min(16));
        let pause_micros = i64::from(own_s.max(asked_s.unwrap_or(0))) * 1_000_000;
        self.resumes_at = now.checked_add_micros(pause_micros).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_receiver_that_fails_is_asked_one_at_a_time_with_growing_pauses_until_it_takes_one() {
        let mut pace = Pace::default();
        assert!(pace.admits(second(0), 3) && !pace.admits(second(0), 4));
        let mut pauses = Vec::new();
        for _failure in 0..9 {
            pace.failed(second(0), None);
            pauses.push((0..100).find(|seconds| pace.admits(second(*seconds), 0)).unwrap());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert!(!pace.admits(second(64), 1), "one at a time");
        pace.succeeded();
        assert!(pace.admits(second(0), 3));
    }

    #[test]
    fn h11_a_receiver_that_asks_for_a_pause_gets_it() {
        let mut pace = Pace::default();
        pace.failed(second(0), Some(120));
        assert!(!pace.admits(second(119), 0) && pace.admits(second(120), 0));
    }
}

//! When a node is left alone, and how long a pause before the next try is. Pure: time and chance are arguments.

use super::network::RequestPolicy;
use std::time::Duration;

/// What is remembered of a node's failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Circuit {
    failures: u32,
    /// Until when it is left alone, on the caller's clock.
    rests_until: Option<Duration>,
}

impl Circuit {
    /// Whether the node may be asked. After the rest one failure is enough for another one.
    pub(super) fn allows(&self, now: Duration) -> bool {
        self.rests_until.is_none_or(|until| now >= until)
    }

    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    pub(super) fn failed(&mut self, now: Duration, policy: &RequestPolicy) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= policy.circuit_failures {
            self.rests_until = Some(now.saturating_add(policy.circuit_rest));
        }
    }
}

/// The pause before another try, after `failed` tries: twice as long each time, and somewhere in its upper half, so that
/// many who failed together do not come back together. `chance` is any number; a node's own wish is heard up to the limit.
pub(super) fn pause(failed: u32, policy: &RequestPolicy, chance: u64, wished: Option<Duration>) -> Duration {
    let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
    let longest = policy.backoff_first.saturating_mul(doubled).min(policy.backoff_max);
    let half = longest / 2;
    let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
    let pause = half.saturating_add(Duration::from_nanos(chance % spread));
    wished.map_or(pause, |wished| pause.max(wished)).min(policy.backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn policy() -> RequestPolicy {
        RequestPolicy {
            circuit_failures: 3,
            circuit_rest: seconds(10),
            backoff_first: seconds(1),
            backoff_max: seconds(8),
            ..RequestPolicy::default()
        }
    }

    #[test]
    fn a_node_rests_after_failures_in_a_row_and_gets_one_try_after_it() {
        let mut circuit = Circuit::default();
        circuit.failed(seconds(0), &policy());
        circuit.failed(seconds(0), &policy());
        circuit.answered();
        for now in 1..=3 {
            assert!(circuit.allows(seconds(now)));
            circuit.failed(seconds(now), &policy());
        }
        assert!(!circuit.allows(seconds(12)));
        assert!(circuit.allows(seconds(13)));
        circuit.failed(seconds(13), &policy());
        assert!(!circuit.allows(seconds(22)));
        circuit.answered();
        assert!(circuit.allows(seconds(22)));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_keep_to_their_upper_half() {
        let longest = [1, 2, 4, 8, 8, 8];
        for (failed, longest) in (1..).zip(longest) {
            for chance in [0, 1, 77_777_777_777, u64::MAX] {
                let pause = pause(failed, &policy(), chance, None);
                assert!(pause >= seconds(longest) / 2 && pause <= seconds(longest), "{failed}: {pause:?}");
            }
        }
        assert_eq!(pause(1, &policy(), 0, Some(seconds(5))), seconds(5));
        assert_eq!(pause(1, &policy(), 0, Some(seconds(3_600))), seconds(8));
        assert_eq!(pause(u32::MAX, &policy(), 0, None), seconds(4));
    }
}

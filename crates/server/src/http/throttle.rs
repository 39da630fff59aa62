//! Rate limits: calls per client, and failed attempts at the token endpoint per client id and per peer.
//!
//! Limits are token buckets on the machine's monotonic clock (design section 10), one per key, in this process.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ids::ClientId;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::Problem;

/// Keys that are remembered before the ones that have recovered are forgotten.
const KEYS_MAX: usize = 10_000;

/// A sustained rate with a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many in [`Self::period`], sustained.
    pub count: NonZeroU32,
    /// The period.
    pub period: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// Limits the calls of each client.
#[derive(Debug)]
pub struct CallThrottle<C: Clock = DefaultClock> {
    limiter: Option<Limiter<ClientId, C>>,
}

/// Limits failed attempts at the token endpoint.
///
/// Only failures count, so a client with the right secret is never slowed by its own calls. A key that has used up
/// its failures is refused before its secret is looked at, until the bucket holds an attempt again: there is no
/// lock-out that a stranger could keep up for longer than he keeps trying.
#[derive(Debug)]
pub struct FailureThrottle<C: Clock = DefaultClock> {
    by_client: Penalties<String, C>,
    by_peer: Penalties<IpAddr, C>,
}

type Limiter<K, C> = RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Buckets of failures. Per key, the instant at which its bucket is full again; a key that is absent has a full one.
///
/// Unlike the call limiter this one can be asked without taking anything out, which the failure rule needs.
#[derive(Debug)]
struct Penalties<K, C: Clock> {
    clock: C,
    one: Duration,
    /// What the bucket holds beyond the one attempt that has to be left.
    slack: Duration,
    full_again: Mutex<FullAgain<K, C::Instant>>,
}

#[derive(Debug)]
struct FullAgain<K, I> {
    by_key: HashMap<K, I>,
    prune_at_len: usize,
}

impl Rate {
    /// `count` per second, with a burst.
    #[must_use]
    pub const fn per_second(count: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { count, period: Duration::from_secs(1), burst }
    }

    /// `count` per minute, all of which may come at once.
    #[must_use]
    pub const fn per_minute(count: NonZeroU32) -> Self {
        Self { count, period: Duration::from_mins(1), burst: count }
    }

    /// The time in which one comes back.
    fn one(self) -> Duration {
        // A rate above one per nanosecond is no limit that a machine could feel; the finest period stands for it.
        self.period.checked_div(self.count.get()).unwrap_or_default().max(Duration::from_nanos(1))
    }

    fn quota(self) -> Quota {
        Quota::with_period(self.one()).unwrap_or_else(|| Quota::per_second(self.count)).allow_burst(self.burst)
    }
}

impl CallThrottle {
    /// A throttle on the machine's monotonic clock; without a rate nothing is limited.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }
}

impl<C: Clock> CallThrottle<C> {
    /// A throttle on another clock.
    #[must_use]
    pub fn with_clock(rate: Option<Rate>, clock: C) -> Self {
        Self { limiter: rate.map(|rate| RateLimiter::new(rate.quota(), DashMapStateStore::default(), clock)) }
    }

    /// Counts one call.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check(&self, client_id: ClientId) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        limiter.check_key(&client_id).map_err(|refused| too_many(refused.wait_time_from(limiter.clock().now())))
    }
}

impl FailureThrottle {
    /// A throttle on the machine's monotonic clock.
    #[must_use]
    pub fn new(client_rate: Rate, peer_rate: Rate) -> Self {
        Self::with_clock(client_rate, peer_rate, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> FailureThrottle<C> {
    /// A throttle on another clock.
    #[must_use]
    pub fn with_clock(client_rate: Rate, peer_rate: Rate, clock: &C) -> Self {
        Self { by_client: Penalties::new(client_rate, clock.clone()), by_peer: Penalties::new(peer_rate, clock.clone()) }
    }

    /// Whether an attempt may be looked at. To be asked before the secret is compared.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn check(&self, client_id: &str, peer: IpAddr) -> Result<(), Problem> {
        let wait = self.by_client.wait(&client_key(client_id)).max(self.by_peer.wait(&peer_key(peer)));
        wait.map_or(Ok(()), |wait| Err(too_many(wait)))
    }

    /// Counts one failed attempt.
    pub fn record_failure(&self, client_id: &str, peer: IpAddr) {
        self.by_client.record(client_key(client_id));
        self.by_peer.record(peer_key(peer));
    }
}

impl<K: Hash + Eq, C: Clock> Penalties<K, C> {
    fn new(rate: Rate, clock: C) -> Self {
        let one = rate.one();
        let full_again = Mutex::new(FullAgain { by_key: HashMap::new(), prune_at_len: KEYS_MAX });
        Self { clock, one, slack: one.saturating_mul(rate.burst.get() - 1), full_again }
    }

    fn wait(&self, key: &K) -> Option<Duration> {
        let full_again = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        let at = *full_again.by_key.get(key)?;
        let missing: Duration = at.duration_since(self.clock.now()).into();
        missing.checked_sub(self.slack).filter(|wait| !wait.is_zero())
    }

    fn record(&self, key: K) {
        let now = self.clock.now();
        let mut full_again = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        if full_again.by_key.len() >= full_again.prune_at_len {
            full_again.by_key.retain(|_, at| *at > now);
            // Doubling keeps the cost of forgetting in proportion to the number of new keys.
            full_again.prune_at_len = full_again.by_key.len().saturating_mul(2).max(KEYS_MAX);
        }
        let at = full_again.by_key.entry(key).or_insert(now);
        *at = (*at).max(now) + self.one.into();
    }
}

fn too_many(wait: Duration) -> Problem {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::too_many_requests(whole.max(1))
}

/// A stated client id is any text; only its beginning is remembered.
fn client_key(client_id: &str) -> String {
    client_id.chars().take(64).collect()
}

/// One subscriber holds a whole /64 of IPv6 addresses.
fn peer_key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;
    use governor::clock::FakeRelativeClock;
    use uuid::Uuid;

    use super::*;

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    /// The seconds of `Retry-After` in a 429; `None` where nothing was refused.
    fn retry_after_s(answer: Result<(), Problem>) -> Option<u64> {
        let response = answer.err()?.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        Some(response.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap())
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn calls_are_limited_per_client() {
        let clock = FakeRelativeClock::default();
        let throttle = CallThrottle::with_clock(Some(Rate::per_second(count(2), count(3))), clock.clone());
        let [one, two] = [1, 2].map(|number| ClientId::new(Uuid::from_u128(number)));
        for _ in 0..3 {
            assert_eq!(retry_after_s(throttle.check(one)), None);
        }
        assert_eq!(retry_after_s(throttle.check(one)), Some(1));
        assert_eq!(retry_after_s(throttle.check(two)), None);
        clock.advance(Duration::from_millis(500));
        assert_eq!(retry_after_s(throttle.check(one)), None);
        assert_eq!(retry_after_s(throttle.check(one)), Some(1));
    }

    #[test]
    fn without_a_rate_nothing_is_limited() {
        let throttle = CallThrottle::new(None);
        assert!((0..10_000).all(|_| throttle.check(ClientId::new(Uuid::nil())).is_ok()));
    }

    #[test]
    fn t08_ten_thousand_guesses_are_looked_at_only_as_often_as_the_rate_allows() {
        let clock = FakeRelativeClock::default();
        let throttle = FailureThrottle::with_clock(Rate::per_minute(count(10)), Rate::per_minute(count(1_000)), &clock);
        let mut looked_at = 0;
        for _ in 0..10_000 {
            if throttle.check("me", peer("192.0.2.1")).is_ok() {
                looked_at += 1;
                throttle.record_failure("me", peer("192.0.2.1"));
            }
            clock.advance(Duration::from_millis(6));
        }
        assert_eq!(looked_at, 10 + 9);
    }

    #[test]
    fn t08_failures_count_per_client_and_per_peer() {
        let clock = FakeRelativeClock::default();
        let throttle = FailureThrottle::with_clock(Rate::per_minute(count(2)), Rate::per_minute(count(3)), &clock);
        let fail = |client: &str, address: &str| throttle.record_failure(client, peer(address));
        let ask = |client: &str, address: &str| retry_after_s(throttle.check(client, peer(address)));
        fail("a", "192.0.2.1");
        assert_eq!(ask("a", "192.0.2.1"), None);
        fail("a", "192.0.2.1");
        assert_eq!(ask("a", "192.0.2.2"), Some(30));
        assert_eq!(ask("b", "192.0.2.1"), None);
        fail("b", "192.0.2.1");
        assert_eq!(ask("c", "192.0.2.1"), Some(20));
        assert_eq!(ask("c", "::ffff:192.0.2.1"), Some(20));
        assert_eq!(ask("c", "192.0.2.3"), None);
        clock.advance(Duration::from_millis(29_001));
        assert_eq!(ask("a", "192.0.2.2"), Some(1));
        clock.advance(Duration::from_millis(999));
        assert_eq!(ask("a", "192.0.2.2"), None);
    }

    #[test]
    fn t08_an_ipv6_subscriber_is_one_peer() {
        let throttle = FailureThrottle::new(Rate::per_minute(count(100)), Rate::per_minute(count(1)));
        throttle.record_failure("a", peer("2001:db8::1"));
        assert!(throttle.check("b", peer("2001:db8::ffff:2")).is_err());
        assert!(throttle.check("b", peer("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn recovered_keys_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let penalties = Penalties::new(Rate::per_minute(count(60)), clock.clone());
        for key in 0..KEYS_MAX {
            penalties.record(key);
        }
        clock.advance(Duration::from_secs(2));
        penalties.record(KEYS_MAX);
        assert_eq!(penalties.full_again.lock().unwrap().by_key.len(), 1);
    }
}

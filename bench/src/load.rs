//! The load: many connections, in a closed loop or on a timetable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::client::{Connection, Outgoing};
use crate::statistics::{Measured, Tally};

/// How long after the planned end the last answers may come.
const GRACE: Duration = Duration::from_mins(1);

/// From this long after the start of a timetable on, latencies count. Before, hundreds of connections and their buffers are new
/// on both sides, and it is the machine's handing out of memory that would be measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// Makes the request with a number.
pub type RequestMaker = Arc<dyn Fn(u64) -> Outgoing + Send + Sync>;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Each connection sends its next request when it has its answer.
    Closed,
    /// Request `n` is due `n / per_second` seconds after the start, whatever the answers do. Latency counts from then, so
    /// that a stalled server cannot hide the requests it kept waiting.
    Open {
        /// Requests due in a second.
        per_second: u64,
    },
}

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// When nothing more is sent.
    pub duration: Duration,
    /// Requests at most.
    pub requests_max: u64,
    /// When requests are sent.
    pub pace: Pace,
}

/// Puts a load on one or several servers, as many connections at each, and waits for the last answer.
pub async fn drive(addresses: &[SocketAddr], shape: Shape, make: RequestMaker) -> Result<Measured, Failure> {
    let mut connections = Vec::with_capacity(shape.connections);
    for address in addresses.iter().copied().cycle().take(shape.connections) {
        connections.push((address, Connection::open(address).await?));
    }
    let sequence = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for (address, connection) in connections {
        let worker = Worker { address, shape, started, sequence: sequence.clone(), make: make.clone() };
        workers.spawn(worker.work(connection));
    }
    let tallies = tokio::time::timeout(shape.duration + GRACE, workers.join_all());
    let tallies = tallies.await.map_err(|_| "the load did not end: answers are missing")?;
    let elapsed = started.elapsed();
    let mut tally = Tally::new()?;
    for one in tallies {
        tally.add(&one?)?;
    }
    Ok(Measured { tally, elapsed })
}

struct Worker {
    address: SocketAddr,
    shape: Shape,
    started: Instant,
    sequence: Arc<AtomicU64>,
    make: RequestMaker,
}

impl Worker {
    async fn work(self, mut connection: Connection) -> Result<Tally, Failure> {
        let mut tally = Tally::new()?;
        loop {
            let number = self.sequence.fetch_add(1, Ordering::Relaxed);
            let Some(due) = self.due(number).await else { return Ok(tally) };
            if let Ok(answer) = connection.send((self.make)(number)).await {
                let latency = Some(due.elapsed()).filter(|_| self.counts_latency(due));
                tally.answered(answer.status, answer.is_replayed, answer.body.len(), latency);
            } else {
                tally.unanswered += 1;
                connection = Connection::open(self.address).await?;
            }
        }
    }

    fn counts_latency(&self, due: Instant) -> bool {
        match self.shape.pace {
            Pace::Closed => true,
            // A short load has no time to warm up.
            Pace::Open { .. } => due.duration_since(self.started) >= WARM_UP.min(self.shape.duration / 2),
        }
    }

    /// Waits until a request is due; `None` where it is not sent any more.
    async fn due(&self, number: u64) -> Option<Instant> {
        if number >= self.shape.requests_max {
            return None;
        }
        match self.shape.pace {
            Pace::Closed => Some(Instant::now()).filter(|now| now.duration_since(self.started) < self.shape.duration),
            Pace::Open { per_second } => {
                let after = after(number, per_second);
                if after >= self.shape.duration {
                    return None;
                }
                let due = self.started + after;
                tokio::time::sleep_until(due.into()).await;
                Some(due)
            }
        }
    }
}

/// How long after the start a request of a timetable is due.
fn after(number: u64, per_second: u64) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000;
    let nanos = nanos.checked_div(u128::from(per_second)).unwrap_or(u128::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timetable_spreads_requests_evenly() {
        assert_eq!(after(0, 8_000), Duration::ZERO);
        assert_eq!(after(1, 8_000), Duration::from_micros(125));
        assert_eq!(after(16_000, 8_000), Duration::from_secs(2));
        assert!(after(1, 0) > Duration::from_secs(1_000_000_000), "a rate of nothing sends nothing more");
    }
}

//! Background work that panics is started again, and parked with an alarm where that does not help. It never ends in
//! silence.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::meters::TaskMeters;

/// How often work is started again before it is parked.
const RETRIES_MAX: u32 = 8;
/// The first pause before a restart; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Work that ran so long has recovered: what panics later is counted anew.
const RECOVERED_AFTER: Duration = Duration::from_mins(5);

/// Runs work until it ends by itself, which it does when it is told to stop. `start` makes it anew after each panic; what
/// it does must be continued from what is stored.
pub async fn supervise<F>(task: &'static str, meters: TaskMeters, mut stop: watch::Receiver<bool>, start: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut panics = 0;
    loop {
        let began = Instant::now();
        let Err(ended) = tokio::spawn(start()).await else { return };
        if ended.is_cancelled() {
            return;
        }
        meters.task_panics.increment(1);
        panics = if began.elapsed() >= RECOVERED_AFTER { 1 } else { panics + 1 };
        if panics > RETRIES_MAX {
            tracing::error!(task, "background work panicked again and again and is parked until the program is restarted");
            meters.park(task);
            let _said = stop.wait_for(|stop| *stop).await;
            return;
        }
        tracing::error!(task, panics, "background work panicked and is started again");
        tokio::select! {
            _said = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause_after(panics)) => {}
        }
    }
}

fn pause_after(panics: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << panics.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::meters::Meters;

    /// Work that panics in its first `panicking` lives, then waits for the stop; how often it was started.
    async fn lives(panicking: u32, meters: &Meters) -> u32 {
        let (stop, stopped) = watch::channel(false);
        let lives = Arc::new(AtomicU32::new(0));
        let (counted, told) = (lives.clone(), stopped.clone());
        let start = move || {
            let (life, mut stop) = (counted.fetch_add(1, Ordering::Relaxed), told.clone());
            async move {
                assert!(life >= panicking, "planted");
                let _said = stop.wait_for(|stop| *stop).await;
            }
        };
        let supervised = tokio::spawn(supervise("blocks", meters.tasks.clone(), stopped, start));
        // Longer than all pauses together: the clock is the test's own.
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(!supervised.is_finished(), "it ends only when it is told to");
        stop.send_replace(true);
        supervised.await.unwrap();
        lives.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn o12_work_that_panics_is_started_again_and_counted() {
        let meters = Meters::new();
        assert_eq!(lives(3, &meters).await, 4);
        let text = meters.registry().text();
        assert!(text.contains("scrip_panics_total{place=\"task\"} 3\n"), "{text}");
        assert!(text.contains("scrip_task_parked{task=\"blocks\"} 0\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn o12_work_that_always_panics_is_parked_with_an_alarm() {
        let meters = Meters::new();
        assert_eq!(lives(u32::MAX, &meters).await, RETRIES_MAX + 1);
        let text = meters.registry().text();
        assert!(text.contains("scrip_task_parked{task=\"blocks\"} 1\n"), "{text}");
        assert!(text.contains("scrip_task_parked{task=\"ledger\"} 0\n"), "{text}");
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses: Vec<u64> = [1, 2, 3, 7, 8, 60].map(|panics| pause_after(panics).as_secs()).to_vec();
        assert_eq!(pauses, [0, 0, 1, 16, 30, 30]);
    }
}

//! The embedded ledger's heartbeat: blocks while something waits or is not final yet.

use std::sync::Arc;
use std::time::Duration;

use ledger::ChainError;
use ledger::embedded::EmbeddedChain;
use tokio::sync::{Notify, watch};

use crate::breakdown::Breakdown;

/// How often the pool is looked at when nobody rings: transactions also come in over JSON-RPC.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Makes blocks until told to stop, or until the disk fails.
pub async fn run(
    chain: Arc<EmbeddedChain>,
    sent: Arc<Notify>,
    block: Arc<Notify>,
    breakdown: Breakdown,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let producer = chain.clone();
        match tokio::task::spawn_blocking(move || produce(&producer)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(_made)) => block.notify_one(),
            Ok(Err(ChainError::SyncFailed(reason))) => return breakdown.report(&reason),
            Ok(Err(error)) => tracing::error!(%error, "the embedded ledger makes no blocks"),
            Err(error) => tracing::error!(%error, "the embedded ledger's work ended"),
        }
        tokio::select! {
            _said = stop.wait_for(|stop| *stop) => return,
            () = sent.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Makes blocks until nothing waits and everything is final; says how many.
fn produce(chain: &EmbeddedChain) -> Result<u64, ChainError> {
    let mut made = 0;
    while !chain.is_settled()? {
        chain.produce()?;
        made += 1;
    }
    Ok(made)
}

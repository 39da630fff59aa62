//! The metrics' own listener, and what is read when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::wallet::EvmAddress;
use ledger::{Address, At, Chain, ChainError};
use store::{Reader, StoreError};
use tokio::sync::watch;

use super::Meters;
use super::state::{NetworkGauges, rounded};
use crate::clock::Clock;
use crate::desk::Desk;

/// How long the database and the ledger are waited for, each. Whoever asks gets the rest in any case.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// How often measured values are sorted into their buckets where nobody asks.
const SORT_EVERY: Duration = Duration::from_secs(5);
/// Prometheus' text format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at when somebody asks.
#[derive(Clone)]
pub struct Sources {
    /// The metrics.
    pub meters: Arc<Meters>,
    /// The way to the desk, for its queues.
    pub desk: Desk,
    /// Committed state.
    pub archive: Arc<Reader>,
    /// The clocks.
    pub clock: Clock,
    /// The networks that this program works with.
    pub networks: Vec<NetworkSource>,
}

/// A network that is looked at.
#[derive(Clone)]
pub struct NetworkSource {
    /// Where it is shown.
    pub gauges: NetworkGauges,
    /// Its nodes.
    pub chain: Arc<dyn Chain>,
    /// Who signs there.
    pub signer: Address,
}

/// A router with the one resource `/metrics`.
pub fn router(sources: Sources) -> Router {
    Router::new().route("/metrics", get(answer)).with_state(sources)
}

async fn answer(State(sources): State<Sources>) -> Response {
    sources.look().await;
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], sources.meters.registry().text()).into_response()
}

/// Keeps measured values from piling up until told to stop.
pub async fn sort_values(meters: Arc<Meters>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _said = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SORT_EVERY) => meters.registry().sort_values(),
        }
    }
}

impl Sources {
    /// Reads every state. What does not answer in time keeps its last values, and says so by its `_up`.
    pub async fn look(&self) {
        let state = &self.meters.state;
        let (requests, background) = self.desk.queue_lengths();
        state.desk_queue.set(rounded(requests as u128));
        state.desk_background_queue.set(rounded(background as u128));
        state.show_process();
        let store = tokio::time::timeout(WAIT_MAX, self.look_at_store()).await;
        state.is_store_up.set(u8::from(matches!(store, Ok(Ok(())))));
        futures_util::future::join_all(self.networks.iter().map(|network| async {
            let looked = tokio::time::timeout(WAIT_MAX, self.look_at_network(network)).await;
            network.gauges.is_up.set(u8::from(matches!(looked, Ok(Ok(())))));
        }))
        .await;
    }

    async fn look_at_store(&self) -> Result<(), StoreError> {
        let archive = self.archive.clone();
        let read = tokio::task::spawn_blocking(move || Ok::<_, StoreError>((archive.state()?, archive.ledger_backlog())));
        let (counted, backlog) = read.await.map_err(|error| StoreError::Engine(error.to_string()))??;
        self.meters.state.show_store(&counted);
        let backlog = backlog?;
        let gauges = &self.meters.state.ledger;
        gauges.open_transactions.set(rounded(backlog.open_transactions.into()));
        gauges.queued_instructions.set(rounded(backlog.queued_instructions.into()));
        gauges.frozen_products.set(rounded(backlog.frozen_products.into()));
        for network in &self.networks {
            let (archive, signer) = (self.archive.clone(), EvmAddress::new(network.signer.0));
            let reserved = tokio::task::spawn_blocking(move || archive.next_nonce(signer));
            let reserved = reserved.await.map_err(|error| StoreError::Engine(error.to_string()))??;
            network.gauges.next_nonce.set(rounded(reserved.into()));
        }
        let now_us = self.clock.now().micros();
        let age_us = backlog.oldest_processing_at.map_or(0, |ordered| now_us.saturating_sub(ordered.micros()).max(0));
        gauges.oldest_credit_age.set(Duration::from_micros(age_us.unsigned_abs()));
        Ok(())
    }

    async fn look_at_network(&self, network: &NetworkSource) -> Result<(), ChainError> {
        let NetworkSource { gauges, chain, signer } = network;
        gauges.head_block.set(rounded(chain.head().await?.number.into()));
        gauges.finalized_block.set(rounded(chain.finalized().await?.number.into()));
        gauges.used_nonces.set(rounded(chain.nonce(*signer, At::Finalized).await?.into()));
        gauges.signer_balance.set(rounded(chain.balance(*signer, At::Head).await?));
        Ok(())
    }
}

//! EVM chains behind JSON-RPC nodes.
//!
//! [`Network`] is the configuration, [`connect`] makes a [`Nodes`] of it. Everything a node says is
//! untrusted: answers are bounded and read strictly, redirects are not followed, proxies of the environment are not used,
//! and what leads to a verdict needs two nodes that agree where two are configured.
//!
//! An error of a node is never an end: requests are tried again with pauses, a failing node is left alone for a while,
//! and a send that was not answered may have been carried out.

mod circuit;
mod network;
mod node;
mod transport;
mod wire;

pub use network::{Endpoint, FinalityRule, Network, NetworkFault, RequestPolicy};

use crate::chain::BlockRef;
use crate::nodes::{Node, Nodes};
use node::RpcNode;
use std::sync::Arc;
use transport::{Transport, client};

/// A source of any numbers, which spread the pauses between tries. It need not be unpredictable.
pub type Jitter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Why a network cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configuration is wrong. Every fault is named.
    #[error("network {name}: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Configuration {
        /// The network.
        name: String,
        /// What is wrong.
        faults: Vec<NetworkFault>,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

/// Makes a chain of a network's nodes. Nothing is asked yet: see [`Pin`](crate::pin::Pin) for what to ask first.
///
/// `last_final` is the newest block that was agreed on as final before this start, where it was kept.
///
/// # Errors
/// [`ConnectError`].
pub fn connect(network: &Network, last_final: Option<BlockRef>, jitter: &Jitter) -> Result<Nodes, ConnectError> {
    let faults = network.faults();
    if !faults.is_empty() {
        return Err(ConnectError::Configuration { name: network.name.clone(), faults });
    }
    let client = client(&network.requests).map_err(|error| ConnectError::Client(error.without_url().to_string()))?;
    let nodes = network.endpoints.iter().map(|endpoint| {
        let transport = Transport::new(client.clone(), endpoint.clone(), network.requests, Arc::clone(jitter));
        Node { name: endpoint.name.clone(), chain: Arc::new(RpcNode::new(network.chain_id, network.finality, transport)) }
    });
    Ok(Nodes::new(network.chain_id, network.genesis_hash, nodes.collect(), last_final))
}

//! A network as an operator configures it.

use crate::fees::FeePolicy;
use crate::types::B256;
use std::fmt;
use std::time::Duration;

/// One EVM network and how it is worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The operator's name for it.
    pub name: String,
    /// The chain id that its nodes must serve (EIP-155).
    pub chain_id: u64,
    /// The hash of its block 0, where it is known already. Without it only the chain id is compared.
    pub genesis_hash: Option<B256>,
    /// Its nodes. With two or more, verdicts need two that agree: take them from different operators.
    pub endpoints: Vec<Endpoint>,
    /// When a block counts as final.
    pub finality: FinalityRule,
    /// What is paid for gas.
    pub fees: FeePolicy,
    /// The most gas of one transaction (Ethereum: EIP-7825).
    pub transaction_gas_max: u64,
    /// How nodes are asked.
    pub requests: RequestPolicy,
}

/// A JSON-RPC node.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name under which it is reported.
    pub name: String,
    /// Where it is, over HTTP. It may hold a key, so it is never printed.
    pub url: String,
}

/// When a block can no longer be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalityRule {
    /// When the node says so (`finalized`): networks whose consensus has finality.
    Tag,
    /// When this many blocks follow it: networks without.
    Depth {
        /// How many.
        blocks: u64,
    },
    /// When both hold.
    TagAndDepth {
        /// How many blocks must follow.
        blocks: u64,
    },
}

/// How nodes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPolicy {
    /// How long one try may take.
    pub timeout: Duration,
    /// How often a request is tried before it counts as unanswered.
    pub tries_max: u32,
    /// The longest pause before the second try; each further one may be twice as long.
    pub backoff_first: Duration,
    /// The longest pause of all, also where the node asks for a longer one.
    pub backoff_max: Duration,
    /// The largest answer that is read.
    pub answer_bytes_max: usize,
    /// The most blocks that one request for logs spans.
    pub logs_blocks_max: u64,
    /// The most logs that one question may be answered with.
    pub logs_max: usize,
    /// After so many failures in a row a node is left alone
    pub circuit_failures: u32,
    /// for so long.
    pub circuit_rest: Duration,
}

/// Why a configuration is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFault {
    /// The chain id is zero.
    #[error("the chain id is 0")]
    ChainId,
    /// There is no node.
    #[error("no endpoint is configured")]
    NoEndpoint,
    /// Two nodes have the same name.
    #[error("two endpoints are called {0}")]
    DuplicateName(String),
    /// Two nodes are the same one, which would agree with itself.
    #[error("the endpoints {0} and {1} have the same URL")]
    DuplicateUrl(String, String),
    /// A URL is not one of HTTP.
    #[error("the URL of endpoint {0} does not begin with http:// or https://")]
    Url(String),
    /// A key would travel in the open: plain HTTP is for this machine only.
    #[error("the URL of endpoint {0} is not https:// and not on this machine")]
    PlainHttp(String),
    /// A rule that makes the newest block final.
    #[error("a finality of 0 blocks makes every block final")]
    Depth,
    /// A bound that would let nothing through.
    #[error("{0} must not be 0")]
    Zero(&'static str),
    /// A percentile above 100.
    #[error("the percentile of the tip is {0}, above 100")]
    Percentile(u8),
}

impl Default for RequestPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            tries_max: 3,
            backoff_first: Duration::from_millis(250),
            backoff_max: Duration::from_secs(5),
            answer_bytes_max: 16 * 1024 * 1024,
            logs_blocks_max: 2_000,
            logs_max: 100_000,
            circuit_failures: 5,
            circuit_rest: Duration::from_secs(15),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Network {
    /// Everything that is wrong with the configuration, before any node is asked.
    #[must_use]
    pub fn faults(&self) -> Vec<NetworkFault> {
        let mut faults = Vec::new();
        if self.chain_id == 0 {
            faults.push(NetworkFault::ChainId);
        }
        if self.endpoints.is_empty() {
            faults.push(NetworkFault::NoEndpoint);
        }
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            faults.extend(endpoint.fault());
            for earlier in self.endpoints.iter().take(index) {
                if earlier.name == endpoint.name {
                    faults.push(NetworkFault::DuplicateName(endpoint.name.clone()));
                }
                if earlier.url == endpoint.url {
                    faults.push(NetworkFault::DuplicateUrl(earlier.name.clone(), endpoint.name.clone()));
                }
            }
        }
        match self.finality {
            FinalityRule::Depth { blocks: 0 } => faults.push(NetworkFault::Depth),
            FinalityRule::Tag | FinalityRule::Depth { .. } | FinalityRule::TagAndDepth { .. } => {}
        }
        let bounds = [
            ("the gas of one transaction", self.transaction_gas_max == 0),
            ("the time of a request", self.requests.timeout.is_zero()),
            ("the number of tries", self.requests.tries_max == 0),
            ("the size of an answer", self.requests.answer_bytes_max == 0),
            ("the blocks of a request for logs", self.requests.logs_blocks_max == 0),
            ("the number of logs", self.requests.logs_max == 0),
            ("the failures of a circuit", self.requests.circuit_failures == 0),
            ("the ceiling of the fees", self.fees.max_fee_per_gas_wei_max == 0),
        ];
        faults.extend(bounds.into_iter().filter(|(_, is_zero)| *is_zero).map(|(what, _)| NetworkFault::Zero(what)));
        if self.fees.tip_percentile > 100 {
            faults.push(NetworkFault::Percentile(self.fees.tip_percentile));
        }
        faults
    }
}

impl Endpoint {
    fn fault(&self) -> Option<NetworkFault> {
        let Ok(url) = reqwest::Url::parse(&self.url) else {
            return Some(NetworkFault::Url(self.name.clone()));
        };
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match url.scheme() {
            "https" => None,
            "http" if is_local => None,
            "http" => Some(NetworkFault::PlainHttp(self.name.clone())),
            _ => Some(NetworkFault::Url(self.name.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, url: &str) -> Endpoint {
        Endpoint { name: name.to_owned(), url: url.to_owned() }
    }

    fn network(endpoints: Vec<Endpoint>) -> Network {
        Network {
            name: "test".to_owned(),
            chain_id: 5,
            genesis_hash: None,
            endpoints,
            finality: FinalityRule::Tag,
            fees: FeePolicy {
                max_fee_per_gas_wei_max: 1,
                max_priority_fee_per_gas_wei_max: 1,
                max_priority_fee_per_gas_wei_min: 0,
                tip_percentile: 50,
                base_fee_factor: 2,
            },
            transaction_gas_max: 1,
            requests: RequestPolicy::default(),
        }
    }

    #[test]
    fn every_fault_of_a_configuration_is_named() {
        let good = [endpoint("a", "https://a.example/key"), endpoint("b", "http://127.0.0.1:8545")];
        assert_eq!(network(good.to_vec()).faults(), []);
        let wrong = vec![
            endpoint("a", "https://a.example"),
            endpoint("a", "ftp://b.example"),
            endpoint("c", "http://c.example"),
            endpoint("d", "https://a.example"),
            endpoint("e", "no url"),
        ];
        let expected = [
            NetworkFault::Url("a".to_owned()),
            NetworkFault::DuplicateName("a".to_owned()),
            NetworkFault::PlainHttp("c".to_owned()),
            NetworkFault::DuplicateUrl("a".to_owned(), "d".to_owned()),
            NetworkFault::Url("e".to_owned()),
        ];
        assert_eq!(network(wrong).faults(), expected);
        let mut empty = network(vec![]);
        empty.chain_id = 0;
        empty.finality = FinalityRule::Depth { blocks: 0 };
        empty.requests.tries_max = 0;
        empty.fees.tip_percentile = 101;
        let expected = [
            NetworkFault::ChainId,
            NetworkFault::NoEndpoint,
            NetworkFault::Depth,
            NetworkFault::Zero("the number of tries"),
            NetworkFault::Percentile(101),
        ];
        assert_eq!(empty.faults(), expected);
    }

    #[test]
    fn a_url_is_never_printed() {
        let network = network(vec![endpoint("a", "https://a.example/s3cret")]);
        assert!(!format!("{network:?}").contains("s3cret"));
    }
}

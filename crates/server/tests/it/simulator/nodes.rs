//! Three nodes of one ledger, and what each does wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::fake::{FakeChain, Fault, SendFault};
use ledger::nodes::{Node, Nodes};
use ledger::{CallOutcome, Chain, Receipt, TxHash};

/// Error texts of nodes: geth's, anvil's, and one that nobody knows.
const REFUSALS: [&str; 10] = [
    "already known",
    "transaction already imported",
    "nonce too low: next nonce 7, tx nonce 3",
    "nonce too high",
    "replacement transaction underpriced",
    "transaction underpriced",
    "insufficient funds for gas * price + value",
    "txpool is full",
    "max fee per gas less than block base fee",
    "something went wrong, please try again",
];
pub const NODES: usize = 3;

/// The nodes, and a true view that no fault touches.
pub struct Servers {
    nodes: Vec<Arc<FakeChain>>,
    pub observer: Arc<dyn Chain>,
    pub asked_as_one: Arc<dyn Chain>,
    /// Another network, which a node may be pointed at.
    foreign: Arc<FakeChain>,
}

/// What a node does wrong until it is mended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    Receipt,
    Logs,
    Call,
    OtherNetwork,
    OtherNetworkByTurns,
}

impl Lie {
    pub const ALL: [Self; 5] = [Self::Receipt, Self::Logs, Self::Call, Self::OtherNetwork, Self::OtherNetworkByTurns];
}

impl Servers {
    pub async fn of(truth: &FakeChain, foreign: FakeChain) -> Self {
        let nodes: Vec<Arc<FakeChain>> = (0..NODES).map(|_| Arc::new(truth.another_node())).collect();
        let members = nodes.iter().enumerate().map(|(index, node)| Node { name: index.to_string(), chain: node.clone() });
        let genesis = truth.identity().await.unwrap().genesis_hash;
        let asked_as_one = Arc::new(Nodes::new(truth.chain_id(), Some(genesis), members.collect(), None));
        Self { nodes, observer: Arc::new(truth.another_node()), asked_as_one, foreign: Arc::new(foreign) }
    }

    /// Lets the next sends to these nodes end wrongly.
    pub fn spoil_sends(&self, nodes: &[usize], choice: usize) {
        let text = || REFUSALS[choice % REFUSALS.len()].to_owned();
        let fault = match choice % 6 {
            0 => SendFault::AcceptThenTimeOut,
            1 => SendFault::AcceptThenRefuse(text()),
            2 => SendFault::DropSilently,
            3 => SendFault::Refuse(text()),
            4 => SendFault::TimeOut,
            _ => SendFault::Reorder,
        };
        for node in nodes {
            self.nodes[*node].script_sends([fault.clone()]);
        }
    }

    /// Lets the next reads of these nodes have no answer.
    pub fn silence(&self, nodes: &[usize], reads: usize) {
        for node in nodes {
            self.nodes[*node].script_unreachable_reads(reads);
        }
    }

    pub fn lag(&self, nodes: &[usize], blocks: u64) {
        for node in nodes {
            self.nodes[*node].lag(blocks);
        }
    }

    /// Lets finality stand still on these nodes.
    pub async fn stall_finality(&self, nodes: &[usize]) {
        let stalled = self.observer.finalized().await.unwrap().number;
        for node in nodes {
            self.nodes[*node].stall_finality(Some(stalled));
        }
    }

    /// Lets one node lie. The others are honest: two liars that agree are more than any protocol can bear.
    pub async fn lie(&self, node: usize, lie: Lie) {
        let liar = &self.nodes[node];
        match lie {
            Lie::Receipt => {
                let (tx_hash, block) = (TxHash([7; 32]), self.observer.head().await.unwrap());
                liar.forge_receipt(Some(Receipt { tx_hash, block, succeeded: true, gas_used: 1, contract_address: None }));
            }
            Lie::Logs => liar.forge_logs(Some(Vec::new())),
            Lie::Call => liar.forge_call(Some(CallOutcome::Returned(vec![0xff; 32]))),
            Lie::OtherNetwork => liar.answer_from(Some(self.foreign.clone())),
            Lie::OtherNetworkByTurns => liar.alternate_with(self.foreign.clone()),
        }
    }

    /// Ends everything that is wrong with a node, but for sends that are spoiled already.
    pub fn mend(&self) {
        for node in &self.nodes {
            node.forge_receipt(None);
            node.forge_logs(None);
            node.forge_call(None);
            node.answer_from(None);
            node.lag(0);
            node.stall_finality(None);
            node.script_unreachable_reads(0);
        }
    }

    /// How far back the newest blocks can be taken without touching one that is final.
    pub async fn replaceable(&self) -> u64 {
        let finalized = self.observer.finalized().await.unwrap().number;
        self.observer.head().await.unwrap().number - finalized
    }

    /// How often each kind of fault acted.
    pub fn count_into(&self, tally: &mut BTreeMap<&'static str, usize>) {
        let kinds = [
            ("send taken, answer lost or wrong", Fault::AcceptedUnsaid),
            ("send dropped silently", Fault::DroppedSilently),
            ("send refused", Fault::Refused),
            ("send lost", Fault::SendLost),
            ("sends reordered", Fault::Reordered),
            ("read lost", Fault::ReadLost),
            ("node lagged", Fault::Lagged),
            ("finality stalled", Fault::FinalityStalled),
            ("receipt forged", Fault::ReceiptForged),
            ("logs forged", Fault::LogsForged),
            ("call forged", Fault::CallForged),
            ("answered from another network", Fault::AnsweredByOther),
        ];
        for (name, fault) in kinds {
            *tally.entry(name).or_default() += self.nodes.iter().map(|node| node.fired_count(fault)).sum::<usize>();
        }
    }
}

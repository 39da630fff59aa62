//! Several nodes of one chain, asked as one.
//!
//! A node may lag, follow another branch, answer from two back ends by turns, or lie. So what leads to a verdict counts
//! only where two nodes say the same, when two or more are configured: the finalized block by its hash, and the state
//! read at that hash (EIP-1898). One bad node among two costs time and no truth. What leads to no verdict (the head,
//! receipts, estimates) is answered by the first node that answers. A transaction is handed to every node.

use crate::chain::{
    Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, ChainIdentity, Estimate, FeeMarket, Log, LogFilter,
    Receipt,
};
use crate::refusal::SendRefusal;
use crate::types::{Address, B256, TxHash};
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, PoisonError};

/// How many nodes have to say the same where there are as many.
const AGREEING_MIN: usize = 2;

/// One node with the name that faults are reported under.
#[derive(Clone)]
pub struct Node {
    /// The operator's name for it; never its URL, which may hold a key.
    pub name: String,
    /// The way to it.
    pub chain: Arc<dyn Chain>,
}

/// Several nodes of one chain.
pub struct Nodes {
    chain_id: u64,
    genesis_hash: Option<B256>,
    members: Vec<Node>,
    /// The newest block that was agreed on as final, so that a chain that takes it back is noticed.
    last_final: Mutex<Option<BlockRef>>,
}

impl Nodes {
    /// Asks these nodes as one chain. With one node alone its word is taken.
    ///
    /// `genesis_hash` is that of the chain where it is known already. `last_final` is the newest block that was agreed on
    /// as final before this start, where the caller kept it.
    #[must_use]
    pub fn new(chain_id: u64, genesis_hash: Option<B256>, members: Vec<Node>, last_final: Option<BlockRef>) -> Self {
        Self { chain_id, genesis_hash, members, last_final: Mutex::new(last_final) }
    }

    fn agreeing_min(&self) -> usize {
        AGREEING_MIN.min(self.members.len()).max(1)
    }

    /// Asks every node the same at once.
    async fn ask_all<'a, T: 'a>(&'a self, ask: impl Fn(&'a dyn Chain) -> Answer<'a, T>) -> Vec<(&'a str, Result<T, ChainError>)> {
        let asked = self.members.iter().map(|node| {
            let answer = ask(node.chain.as_ref());
            async { (node.name.as_str(), answer.await) }
        });
        join_all(asked).await
    }

    /// The answer of the first node that gives one.
    async fn first<'a, T: 'a>(&'a self, ask: impl Fn(&'a dyn Chain) -> Answer<'a, T>) -> Result<T, ChainError> {
        let mut failed = ChainError::Unreachable("no node is configured".to_owned());
        for node in &self.members {
            match ask(node.chain.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The answer that enough nodes give.
    async fn agreed<'a, T: PartialEq + 'a>(
        &'a self,
        what: &str,
        ask: impl Fn(&'a dyn Chain) -> Answer<'a, T>,
    ) -> Result<T, ChainError> {
        let answers = self.ask_all(ask).await;
        agree(what, answers.into_iter().map(|(_, answer)| answer).collect(), self.agreeing_min())
    }

    /// Reads state: at the head from the first node, elsewhere what enough nodes say of the same block.
    async fn read<'a, T: PartialEq + 'a>(
        &'a self,
        what: &str,
        at: At,
        ask: impl Fn(&'a dyn Chain, At) -> Answer<'a, T>,
    ) -> Result<T, ChainError> {
        let at = match at {
            At::Head => return self.first(|node| ask(node, At::Head)).await,
            At::Finalized => At::Block(self.agreed_finalized().await?.hash),
            At::Block(_) => at,
        };
        self.agreed(what, |node| ask(node, at)).await
    }

    /// What the nodes say of themselves. One foreign node among them is a fault of the whole: it was configured.
    async fn agreed_identity(&self) -> Result<ChainIdentity, ChainError> {
        let answers = self.ask_all(|node| node.identity()).await;
        for (name, answer) in &answers {
            let Ok(found) = answer else { continue };
            let is_foreign =
                found.chain_id != self.chain_id || self.genesis_hash.is_some_and(|genesis| genesis != found.genesis_hash);
            if is_foreign {
                return Err(ChainError::ForeignChain { endpoint: (*name).to_owned(), found: *found });
            }
        }
        let identities = answers.into_iter().map(|(_, answer)| answer).collect();
        agree("which chain they serve", identities, self.agreeing_min())
    }

    /// The newest block that enough nodes hold for final, under the same hash.
    async fn agreed_finalized(&self) -> Result<BlockRef, ChainError> {
        self.agreed_identity().await?;
        let finals = self.ask_all(|node| node.finalized()).await;
        let heights: Vec<Option<u64>> = finals.iter().map(|(_, answer)| answer.as_ref().ok().map(|block| block.number)).collect();
        let mut outcome = Err(ChainError::Disagreement("the finalized block".to_owned()));
        if heights.iter().flatten().count() < self.agreeing_min() {
            outcome = Err(first_error(finals, || "the finalized block"));
        }
        for height in candidate_heights(&heights, self.agreeing_min()) {
            let votes = self.votes_at(&heights, height).await;
            if let Ok(block) = agree("the finalized block", votes, self.agreeing_min()) {
                outcome = Ok(block);
                break;
            }
        }
        let block = outcome?;
        self.keep_final(block).await?;
        Ok(block)
    }

    /// Which block stands at a height, by those nodes for which that height is final.
    async fn votes_at(&self, heights: &[Option<u64>], height: u64) -> Vec<Result<BlockRef, ChainError>> {
        let holders = self.members.iter().zip(heights).filter(|(_, own)| own.is_some_and(|own| own >= height));
        let asked = holders.map(|(node, _)| async move {
            node.chain.block_at(height).await?.ok_or_else(|| ChainError::Unreachable(format!("no block {height}")))
        });
        join_all(asked).await
    }

    /// Compares an agreed block with the one before it: what was final has to stay.
    async fn keep_final(&self, block: BlockRef) -> Result<(), ChainError> {
        let last = *self.last_final.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(was) = last {
            if block.number < was.number {
                return Err(ChainError::Disagreement(format!("a block as new as the finalized block {}", was.number)));
            }
            let stands = if block.number == was.number {
                block
            } else {
                let heights = vec![Some(u64::MAX); self.members.len()];
                agree("a finalized block", self.votes_at(&heights, was.number).await, self.agreeing_min())?
            };
            if stands.hash != was.hash {
                return Err(ChainError::FinalityBroken { was, found: stands.hash });
            }
        }
        let mut last = self.last_final.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|was| was.number < block.number) {
            *last = Some(block);
        }
        Ok(())
    }

    async fn send_to_all<'a>(&'a self, raw: &'a [u8]) -> Result<TxHash, ChainError> {
        let answers = self.ask_all(|node| node.send(raw)).await;
        for (name, answer) in &answers {
            if let Err(error) = answer {
                tracing::debug!(node = name, %error, "a node did not take a transaction");
            }
        }
        answer_of_sends(answers.into_iter().map(|(_, answer)| answer).collect(), crate::transaction::tx_hash(raw))
    }

    async fn greatest_pending_nonce(&self, address: Address) -> Result<u64, ChainError> {
        let answers = self.ask_all(|node| node.pending_nonce(address)).await;
        let greatest = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).max().copied();
        greatest.ok_or_else(|| first_error(answers, || "a nonce"))
    }
}

/// The heights at which agreement may be found, greatest first: each is final for at least `agreeing_min` nodes.
#[must_use]
pub fn candidate_heights(heights: &[Option<u64>], agreeing_min: usize) -> Vec<u64> {
    let mut known: Vec<u64> = heights.iter().copied().flatten().collect();
    known.sort_unstable_by(|one, other| other.cmp(one));
    let mut candidates: Vec<u64> = known.into_iter().skip(agreeing_min.saturating_sub(1)).collect();
    candidates.dedup();
    candidates
}

/// The one answer that at least `agreeing_min` nodes give.
///
/// # Errors
/// Where too few nodes answer, the first node's error; [`ChainError::Disagreement`] where no answer, or more than one,
/// was given often enough.
pub fn agree<T: PartialEq>(what: &str, answers: Vec<Result<T, ChainError>>, agreeing_min: usize) -> Result<T, ChainError> {
    let mut groups: Vec<(T, usize)> = Vec::new();
    let mut failed = None;
    let mut answered = 0;
    for answer in answers {
        match answer {
            Ok(value) => {
                answered += 1;
                match groups.iter_mut().find(|(known, _)| *known == value) {
                    Some((_, count)) => *count += 1,
                    None => groups.push((value, 1)),
                }
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if groups.len() > 1 {
        tracing::warn!(what, answers = groups.len(), "nodes answer differently");
    }
    groups.retain(|(_, count)| *count >= agreeing_min);
    match (groups.pop(), groups.is_empty()) {
        (Some((value, _)), true) => Ok(value),
        _ if answered < agreeing_min => {
            Err(failed.unwrap_or_else(|| ChainError::Unreachable("too few nodes are configured".to_owned())))
        }
        _ => Err(ChainError::Disagreement(what.to_owned())),
    }
}

/// One answer for all sends: taken where one node took it or holds it already; else what says most.
fn answer_of_sends(answers: Vec<Result<TxHash, ChainError>>, hash: TxHash) -> Result<TxHash, ChainError> {
    let mut worst = ChainError::Unreachable("no node is configured".to_owned());
    let mut worst_rank = 0;
    for answer in answers {
        match answer {
            Ok(_) | Err(ChainError::Refused { refusal: SendRefusal::AlreadyKnown, .. }) => return Ok(hash),
            Err(error) => {
                let rank = rank_of(&error);
                if rank > worst_rank {
                    (worst, worst_rank) = (error, rank);
                }
            }
        }
    }
    Err(worst)
}

/// How much a failed send says: a used nonce most, because it may be these very bytes; silence least.
const fn rank_of(error: &ChainError) -> u8 {
    match error {
        ChainError::Refused { refusal: SendRefusal::NonceTooLow, .. } => 5,
        ChainError::ForeignChain { .. } | ChainError::FinalityBroken { .. } => 4,
        ChainError::Refused { refusal: SendRefusal::Unknown, .. } => 2,
        ChainError::Refused { .. } => 3,
        ChainError::Unreachable(_)
        | ChainError::Disagreement(_)
        | ChainError::StateNotHeld(_)
        | ChainError::Invalid(_)
        | ChainError::Storage(_)
        | ChainError::SyncFailed(_) => 1,
    }
}

fn first_error<T>(answers: Vec<(&str, Result<T, ChainError>)>, what: impl Fn() -> &'static str) -> ChainError {
    let error = answers.into_iter().find_map(|(_, answer)| answer.err());
    error.unwrap_or_else(|| ChainError::Disagreement(what().to_owned()))
}

impl Chain for Nodes {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        Box::pin(self.send_to_all(raw))
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        Box::pin(self.first(move |node| node.receipt(hash)))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        Box::pin(async move { self.read("what a call returns", at, |node, at| node.call(request.clone(), at)).await })
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        Box::pin(self.agreed("logs", move |node| node.logs(filter)))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        Box::pin(self.first(|node| node.head()))
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        Box::pin(self.agreed_finalized())
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        Box::pin(async move { self.read("a nonce", at, |node, at| node.nonce(address, at)).await })
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move { self.read("a contract's code", at, |node, at| node.code(address, at)).await })
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        Box::pin(async move { self.read("a balance", at, |node, at| node.balance(address, at)).await })
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        Box::pin(self.agreed_identity())
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        Box::pin(self.first(move |node| node.block_at(number)))
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        Box::pin(self.greatest_pending_nonce(address))
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        Box::pin(async move { self.first(|node| node.estimate_gas(request.clone())).await })
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        Box::pin(self.first(move |node| node.fee_market(tip_percentile)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Result<TxHash, ChainError> {
        Err(ChainError::Refused { refusal: SendRefusal::classify(text), text: text.to_owned() })
    }

    fn silent<T>() -> Result<T, ChainError> {
        Err(ChainError::Unreachable("time out".to_owned()))
    }

    #[test]
    fn l11_heights_are_final_for_enough_nodes() {
        assert_eq!(candidate_heights(&[Some(110), Some(100), Some(90)], 2), [100, 90]);
        assert_eq!(candidate_heights(&[Some(100), None, Some(100)], 2), [100]);
        assert_eq!(candidate_heights(&[Some(100), None], 2), [0_u64; 0]);
        assert_eq!(candidate_heights(&[Some(7)], 1), [7]);
    }

    #[test]
    fn l11_two_of_three_agree_and_one_of_two_does_not() {
        let disagree = Err(ChainError::Disagreement("x".to_owned()));
        assert_eq!(agree("x", vec![Ok(1), Ok(2), Ok(1)], 2), Ok(1));
        assert_eq!(agree("x", vec![Ok(1), silent(), Ok(1)], 2), Ok(1));
        assert_eq!(agree("x", vec![Ok(1), Ok(2)], 2), disagree);
        assert_eq!(agree("x", vec![Ok(1), Ok(1), Ok(2), Ok(2)], 2), disagree);
        assert_eq!(agree("x", vec![Ok(1), silent()], 2), silent());
        assert_eq!(agree::<u8>("x", vec![], 1), Err(ChainError::Unreachable("too few nodes are configured".to_owned())));
    }

    #[test]
    fn l01_one_node_that_holds_the_bytes_is_enough_and_a_used_nonce_says_most() {
        let hash = TxHash([7; 32]);
        assert_eq!(answer_of_sends(vec![silent(), Ok(hash)], hash), Ok(hash));
        assert_eq!(answer_of_sends(vec![refused("nonce too low"), refused("already known")], hash), Ok(hash));
        let low = refused("nonce too low");
        assert_eq!(answer_of_sends(vec![silent(), refused("txpool is full"), low.clone()], hash), low);
        let full = refused("txpool is full");
        assert_eq!(answer_of_sends(vec![refused("what?"), full.clone(), silent()], hash), full);
        assert_eq!(answer_of_sends(vec![silent(), silent()], hash), silent());
    }

    proptest! {
        #[test]
        fn l11_one_liar_among_honest_nodes_never_changes_what_is_agreed_on(
            honest in 1_usize..4, lie in 0_u8..4, place in 0_usize..4, truth in 0_u8..4,
        ) {
            let mut answers: Vec<Result<u8, ChainError>> = (0..honest).map(|_| Ok(truth)).collect();
            answers.insert(place.min(honest), Ok(lie));
            match agree("x", answers, 2) {
                Ok(agreed) => prop_assert_eq!(agreed, truth),
                Err(error) => prop_assert!(matches!(error, ChainError::Disagreement(_)) && honest == 1),
            }
        }
    }
}

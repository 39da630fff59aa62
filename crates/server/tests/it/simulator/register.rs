//! What the clients were told, and what must hold of it after every step (E1 to E6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::credit::CreditState;
use domain::ids::{CampaignId, ProductId};
use domain::product::Token;
use ledger::contract::{Checkpoint, Outcome, TrustedRecord, total_supply, trusted_records};
use ledger::transaction::{decode, tx_hash};
use ledger::{Address, At, B256, Chain, TxHash};

use super::gate::Sent;
use crate::ledger_work::bench::{Bench, Ordered};

/// An order of a credit, as its client knows it.
struct Promise {
    ordered: Ordered,
    /// The step in which it was ordered, and its place among all.
    step: usize,
    place: usize,
    /// What was last read, and the first step in which it was so.
    state: CreditState,
    ended_step: Option<usize>,
}

/// All orders of one campaign's product.
pub struct Register {
    pub campaign_id: CampaignId,
    pub product_id: ProductId,
    promises: Vec<Promise>,
    /// The nonce of everything that was sent.
    nonces: BTreeMap<TxHash, u64>,
    /// What each nonce says, and in which step it was first sent.
    calls: BTreeMap<u64, (Option<Address>, Vec<u8>, usize)>,
    seen_sends: usize,
}

impl Register {
    pub fn new(campaign_id: CampaignId, product_id: ProductId) -> Self {
        let (nonces, calls) = (BTreeMap::new(), BTreeMap::new());
        Self { campaign_id, product_id, promises: Vec::new(), nonces, calls, seen_sends: 0 }
    }

    pub fn ordered(&mut self, ordered: Ordered, step: usize) {
        let place = self.promises.len();
        self.promises.push(Promise { ordered, step, place, state: CreditState::Processing, ended_step: None });
    }

    pub fn len(&self) -> usize {
        self.promises.len()
    }

    /// Investments whose newest credit failed.
    pub fn failed(&self) -> Vec<Ordered> {
        let newest: BTreeMap<_, _> = self.promises.iter().map(|promise| (promise.ordered.investment_id, promise)).collect();
        newest.values().filter(|one| matches!(one.state, CreditState::Failed { .. })).map(|one| one.ordered).collect()
    }

    pub fn processing_count(&self) -> usize {
        self.promises.iter().filter(|promise| promise.state == CreditState::Processing).count()
    }

    /// How many credits ended, and how many of those failed.
    pub fn ended_counts(&self) -> (usize, usize) {
        let failed = self.promises.iter().filter(|promise| matches!(promise.state, CreditState::Failed { .. })).count();
        (self.promises.len() - self.processing_count(), failed)
    }

    /// Reads everything anew, and compares. Panics with `at` where something does not hold.
    pub async fn check(&mut self, bench: &Bench, observer: &Arc<dyn Chain>, sent: &Sent, step: usize, at: &str) {
        sent.see_stored(&bench.office.archive);
        self.look_at_sends(sent, step, at);
        self.look_at_credits(bench, step, at);
        let Token::Deployed(token) = bench.product(self.product_id).token else { panic!("{at}: the token stands") };
        let token = Address(token.bytes());
        let beginning = Checkpoint { next_block: 0, running_hash: B256::ZERO };
        let head = observer.head().await.unwrap();
        let told = trusted_records(observer.as_ref(), token, beginning, head).await.unwrap().records;
        let applied: Vec<&TrustedRecord> = told.iter().filter(|one| one.record.outcome == Outcome::Applied).collect();
        let finalized = observer.finalized().await.unwrap();
        self.applied_once_each_in_order(&applied, at);
        self.nothing_dead_ran(&applied, at);
        self.delivered_stays(&applied, finalized.number, at);
        let supply = total_supply(observer.as_ref(), token, At::Head).await.unwrap();
        let issued: u128 = applied.iter().map(|one| one.record.item.units).sum();
        assert_eq!(supply, issued, "{at}: E5: the supply is what was issued");
    }

    /// Bytes are committed before they are sent, and a nonce carries one call only.
    fn look_at_sends(&mut self, sent: &Sent, step: usize, at: &str) {
        let unstored = sent.unstored.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(unstored, 0, "{at}: bytes were sent before they were committed");
        let raw = sent.raw.lock().unwrap();
        for bytes in &raw[self.seen_sends..] {
            let said = decode(bytes).unwrap().transaction;
            self.nonces.insert(tx_hash(bytes), said.nonce);
            if said.data.is_empty() {
                // A transfer of nothing, where nothing is left to do at a nonce.
                continue;
            }
            let (to, data, _) = self.calls.entry(said.nonce).or_insert_with(|| (said.to, said.data.clone(), step));
            assert_eq!((*to, &*data), (said.to, &said.data), "{at}: nonce {} carries another call", said.nonce);
        }
        self.seen_sends = raw.len();
    }

    fn look_at_credits(&mut self, bench: &Bench, step: usize, at: &str) {
        for promise in &mut self.promises {
            let state = bench.credit(promise.ordered).state;
            if promise.ended_step.is_some() {
                assert_eq!(state, promise.state, "{at}: E3: {:?} was told to its client", promise.ordered);
            } else if state != CreditState::Processing {
                (promise.state, promise.ended_step) = (state, Some(step));
            }
        }
    }

    /// E1 and E6.
    fn applied_once_each_in_order(&self, applied: &[&TrustedRecord], at: &str) {
        let ids: BTreeSet<[u8; 16]> = applied.iter().map(|one| one.record.item.id).collect();
        assert_eq!(ids.len(), applied.len(), "{at}: E1: an investment was issued twice");
        let places: Vec<usize> = applied.iter().map(|one| self.promise_of(one, at).place).collect();
        assert!(places.is_sorted(), "{at}: E6: the order of instruction is {places:?}");
    }

    /// The order that a record carries out: the investment's newest when the nonce was first sent.
    fn promise_of(&self, record: &TrustedRecord, at: &str) -> &Promise {
        let (_, _, first_sent) = &self.calls[&self.nonces[&record.tx_hash]];
        let mut own = self.promises.iter().filter(|one| one.ordered.investment_id.bytes() == record.record.item.id);
        own.rfind(|one| one.step <= *first_sent).unwrap_or_else(|| panic!("{at}: nobody ordered {record:?}"))
    }

    /// E2: what took effect was not sent before its order was said to have failed.
    fn nothing_dead_ran(&self, applied: &[&TrustedRecord], at: &str) {
        for record in applied {
            let promise = self.promise_of(record, at);
            let is_failed = matches!(promise.state, CreditState::Failed { .. });
            assert!(!is_failed, "{at}: E2: {:?} had failed, and took effect", promise.ordered);
        }
    }

    /// E3 and half of E5: what is delivered stands in a final block, where the client was told.
    fn delivered_stays(&self, applied: &[&TrustedRecord], finalized_number: u64, at: &str) {
        for promise in &self.promises {
            let CreditState::Succeeded { transaction_hash, block_number, .. } = promise.state else { continue };
            let stands = applied.iter().any(|one| {
                one.record.item.id == promise.ordered.investment_id.bytes()
                    && (one.tx_hash.0, one.block.number) == (transaction_hash, block_number)
                    && block_number <= finalized_number
            });
            assert!(stands, "{at}: E3: {:?} was delivered and is not on the ledger", promise.ordered);
        }
    }
}

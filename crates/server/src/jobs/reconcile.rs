//! Comparing each product's ledger with the register, at finalized blocks, for as long as the program runs.
//!
//! The judge decides each credit by itself; this looks at the whole, and finds what no single credit shows: an order that
//! nobody gave, or units that nobody ordered. A difference that is seen twice lets the product's credits rest until an
//! operator has looked (`scrip ledger release`). What a node says once proves nothing, and while a difference is only
//! suspected nothing of the product is signed.
//!
//! Invariant: a product is compared only at a block up to which every verdict of this instance is recorded.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use domain::freeze::{Difference, Freeze};
use domain::ids::ProductId;
use domain::product::{Product, Token};
use futures_util::FutureExt;
use ledger::contract::{Checkpoint, ContractError, TrustedRecord, issued_total, running_hash, total_supply, trusted_records};
use ledger::{Address, At, B256, BlockRef};

use super::{LedgerFault, LedgerWork};
use crate::operations::freeze::{Acknowledged, FreezeProduct, PutReconciled, Reconciled, ReleaseProduct};
use crate::operations::network::NetworkPin;
use crate::planted::Bug;
use crate::reconciliation::{Finding, Known, applied, compare_record, investment_of};

/// For how long, in seconds of block time, records may not fold before that counts as a difference: a node that catches up
/// knows a block before all of its logs.
const FOLDS_WITHIN_S: u64 = 600;

/// Records whose credits are read at once.
const RECORDS_MAX: usize = 1_000;

/// What this run knows of the comparisons so far.
#[derive(Debug, Default)]
pub(super) struct Reconciliation {
    /// What the two sides of a product were when they agreed last.
    agreed: BTreeMap<ProductId, Agreed>,
    /// What was seen once.
    suspected: BTreeMap<ProductId, Suspicion>,
    /// The finalized block at which everything was compared last.
    compared_at: Option<B256>,
    /// When it is compared again at the earliest, by a clock that nobody turns.
    again_at: Option<std::time::Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Agreed {
    running_hash: B256,
    units_delivered: u64,
}

#[derive(Debug)]
struct Suspicion {
    difference: Difference,
    /// Of the block at which it was seen first.
    since_seconds: u64,
}

impl Reconciliation {
    /// Whether a difference was seen that is not confirmed yet.
    pub(super) fn suspects(&self, product_id: ProductId) -> bool {
        self.suspected.contains_key(&product_id)
    }

    /// Takes a difference down; says whether it has been seen often enough to be believed.
    fn confirm(&mut self, product_id: ProductId, difference: Difference, block: BlockRef) -> bool {
        let known = self.suspected.get(&product_id).filter(|known| known.difference == difference);
        let Some(known) = known else {
            self.suspected.insert(product_id, Suspicion { difference, since_seconds: block.time_seconds });
            return false;
        };
        match difference {
            Difference::RecordsDoNotFold => block.time_seconds >= known.since_seconds.saturating_add(FOLDS_WITHIN_S),
            Difference::ForeignOrder | Difference::OtherOrder | Difference::Units => true,
        }
    }
}

/// How the two sides of a product compare at a block.
#[derive(Debug)]
enum Compared {
    /// They agree as they did before.
    Unchanged,
    /// Nothing can be said yet: a verdict is still to be recorded, or the node is behind what was judged.
    NotYet,
    /// They agree.
    Agree { agreed: Agreed, checkpoint: Checkpoint, is_further: bool },
    /// They do not.
    Differ(Differing),
}

/// What differs, and what an operator who lets credits go on acknowledges.
#[derive(Debug)]
struct Differing {
    finding: Finding,
    /// Where the units agree, although single orders do not: up to where, and the numbers of those orders.
    acknowledgeable: Option<(Checkpoint, Vec<u64>)>,
}

impl LedgerWork {
    /// Compares all products of the network, where a finalized block has come since.
    pub(super) async fn reconcile(&mut self, pin: &NetworkPin) -> Result<(), LedgerFault> {
        let now = self.clock.monotonic();
        if self.reconciliation.again_at.is_some_and(|again_at| now < again_at) || Bug::NothingReconciled.is_planted() {
            return Ok(());
        }
        let finalized = self.chain.finalized().await?;
        let network = self.network.clone();
        let products = self.read(move |archive| archive.deployed_products(&network)).await?;
        let asks = |product: &Product| product.freeze.as_ref().is_some_and(|freeze| freeze.is_release_asked);
        let is_due = self.reconciliation.compared_at != Some(finalized.hash)
            || !self.reconciliation.suspected.is_empty()
            || products.iter().any(asks);
        if is_due {
            let mut is_whole = true;
            for product in &products {
                let came_to = AssertUnwindSafe(self.reconcile_product(pin, product, finalized)).catch_unwind().await;
                is_whole &= self.contained(product.id, came_to)?.unwrap_or(false);
            }
            self.reconciliation.compared_at = is_whole.then_some(finalized.hash);
        }
        self.reconciliation.again_at = now.checked_add(self.policy.look_every);
        Ok(())
    }

    /// Compares one product; says whether something can be said of it. What is to be recorded is looked at again where the
    /// lane was not held: another process may have recorded verdicts meanwhile.
    async fn reconcile_product(&mut self, pin: &NetworkPin, product: &Product, block: BlockRef) -> Result<bool, LedgerFault> {
        if product.freeze.as_ref().is_some_and(|freeze| !freeze.is_release_asked) {
            self.reconciliation.suspected.remove(&product.id);
            return Ok(true);
        }
        let mut compared = self.compare(pin, product, block).await?;
        let is_new = match &compared {
            Compared::Unchanged | Compared::NotYet => false,
            Compared::Agree { is_further, .. } => *is_further || product.freeze.is_some(),
            Compared::Differ(_) => true,
        };
        if is_new {
            let held_before = self.lane.is_held().then_some(self.seen_under);
            if !self.hold_lane().await? {
                return Ok(true);
            }
            if held_before != Some(self.seen_under) {
                compared = self.compare(pin, product, block).await?;
            }
        }
        match compared {
            Compared::Unchanged => {}
            Compared::NotYet => return Ok(false),
            Compared::Agree { agreed, checkpoint, is_further } => {
                if is_further || product.freeze.is_some() {
                    self.record_agreement(product, checkpoint).await?;
                }
                self.reconciliation.suspected.remove(&product.id);
                self.reconciliation.agreed.insert(product.id, agreed);
            }
            Compared::Differ(found) => self.differ(product, block, found).await?,
        }
        Ok(true)
    }

    async fn record_agreement(&mut self, product: &Product, checkpoint: Checkpoint) -> Result<(), LedgerFault> {
        let product_id = product.id;
        match product.freeze {
            Some(_) => self.release(product_id, checkpoint, Vec::new()).await,
            None => self.lane.record(PutReconciled { product_id, reconciled: Reconciled::up_to(checkpoint) }).await,
        }
    }

    async fn differ(&mut self, product: &Product, block: BlockRef, found: Differing) -> Result<(), LedgerFault> {
        let Differing { finding: Finding { difference, detail }, acknowledgeable } = found;
        let (product_id, network) = (product.id, self.network.clone());
        self.reconciliation.agreed.remove(&product_id);
        if let (Some(_), Some((checkpoint, numbers))) = (&product.freeze, acknowledgeable) {
            return self.release(product_id, checkpoint, numbers).await;
        }
        self.meters.differences.increment(1);
        if product.freeze.is_none() && !self.reconciliation.confirm(product_id, difference, block) {
            tracing::error!(%product_id, %network, block = block.number, detail, "register and ledger seem to differ: looking again");
            return Ok(());
        }
        tracing::error!(%product_id, %network, block = block.number, detail, "register and ledger differ: the product's credits rest");
        let since = product.freeze.as_ref().map_or_else(|| self.clock.now(), |freeze| freeze.since);
        let freeze = Freeze { since, block_number: block.number, difference, detail, is_release_asked: false };
        self.lane.record(FreezeProduct { product_id, freeze }).await?;
        self.reconciliation.suspected.remove(&product_id);
        Ok(())
    }

    async fn release(&mut self, product_id: ProductId, checkpoint: Checkpoint, numbers: Vec<u64>) -> Result<(), LedgerFault> {
        let stored = self.read(move |archive| archive.setting(&Acknowledged::setting(product_id))).await?;
        let reconciled = Reconciled::up_to(checkpoint);
        self.lane.record(ReleaseProduct { product_id, reconciled, stored, numbers: numbers.clone() }).await?;
        tracing::warn!(%product_id, network = %self.network, acknowledged = ?numbers, "credits of the product go on");
        Ok(())
    }

    pub(super) async fn reconciled(&self, product_id: ProductId) -> Result<Option<Checkpoint>, LedgerFault> {
        let stored = self.read(move |archive| archive.setting(&Reconciled::setting(product_id))).await?;
        let known = Reconciled::of_stored(stored.as_deref()).map_err(super::recover::unreadable)?;
        known.map(|known| known.checkpoint().map_err(super::recover::unreadable)).transpose()
    }

    /// Whether an operator has acknowledged that somebody else's order has a number.
    pub(super) async fn is_acknowledged(&self, product_id: ProductId, number: u64) -> Result<bool, LedgerFault> {
        let stored = self.read(move |archive| archive.setting(&Acknowledged::setting(product_id))).await?;
        let known = Acknowledged::of_stored(stored.as_deref()).map_err(super::recover::unreadable)?;
        Ok(known.numbers.contains(&number))
    }

    /// Compares a product's two sides at a finalized block.
    async fn compare(&self, pin: &NetworkPin, product: &Product, block: BlockRef) -> Result<Compared, LedgerFault> {
        let Token::Deployed(address) = product.token else { return Ok(Compared::Unchanged) };
        let (product_id, token, at) = (product.id, Address(address.bytes()), At::Block(block.hash));
        let running_hash = running_hash(self.chain.as_ref(), token, at).await?;
        let units_delivered = self.read(move |archive| archive.units_delivered(product_id)).await?;
        let agreed = Agreed { running_hash, units_delivered };
        if self.reconciliation.agreed.get(&product_id) == Some(&agreed) {
            return Ok(Compared::Unchanged);
        }
        let start = Checkpoint { next_block: pin.from_block, running_hash: B256::ZERO };
        let since = self.reconciled(product_id).await?.unwrap_or(start);
        if since.next_block > block.number.saturating_add(1) {
            return Ok(Compared::NotYet);
        }
        let read = match trusted_records(self.chain.as_ref(), token, since, block).await {
            Ok(read) => read,
            Err(fault @ ContractError::LogsDoNotFold { .. }) => {
                let finding = Finding { difference: Difference::RecordsDoNotFold, detail: fault.to_string() };
                return Ok(Compared::Differ(Differing { finding, acknowledgeable: None }));
            }
            Err(fault) => return Err(fault.into()),
        };
        let Some((orders, numbers)) = self.compare_orders(product_id, &read.records).await? else {
            return Ok(Compared::NotYet);
        };
        let units = self.compare_units(product_id, token, block, units_delivered).await?;
        let Some(units) = units else { return Ok(Compared::NotYet) };
        Ok(match (orders, units) {
            (None, Ok(())) => Compared::Agree { agreed, checkpoint: read.checkpoint, is_further: !read.records.is_empty() },
            (Some(finding), Ok(())) => Compared::Differ(Differing { finding, acknowledgeable: Some((read.checkpoint, numbers)) }),
            (Some(finding), Err(_)) | (None, Err(finding)) => Compared::Differ(Differing { finding, acknowledgeable: None }),
        })
    }

    /// The first of these orders that the register did not give so, and the numbers of all such; `None` while the verdict on
    /// one of them is still to be recorded.
    async fn compare_orders(
        &self,
        product_id: ProductId,
        records: &[TrustedRecord],
    ) -> Result<Option<(Option<Finding>, Vec<u64>)>, LedgerFault> {
        let (mut first, mut numbers) = (None, Vec::new());
        for records in records.chunks(RECORDS_MAX) {
            let investments: Vec<_> = applied(records).map(|trusted| investment_of(&trusted.record.item)).collect();
            let credits = self.read(move |archive| archive.newest_credits(&investments)).await?;
            for trusted in applied(records) {
                match compare_record(trusted, product_id, credits.get(&investment_of(&trusted.record.item))) {
                    Ok(Known::Settled) => {}
                    Ok(Known::OnItsWay) => return Ok(None),
                    Err(finding) => {
                        first.get_or_insert(finding);
                        numbers.push(trusted.record.item.number);
                    }
                }
            }
        }
        Ok(Some((first, numbers)))
    }

    /// Compares the units on both sides; `None` where this node is behind what was judged before.
    async fn compare_units(
        &self,
        product_id: ProductId,
        token: Address,
        block: BlockRef,
        units_delivered: u64,
    ) -> Result<Option<Result<(), Finding>>, LedgerFault> {
        let at = At::Block(block.hash);
        let issued = issued_total(self.chain.as_ref(), token, at).await?;
        let outstanding = total_supply(self.chain.as_ref(), token, at).await?;
        if issued == u128::from(units_delivered) && outstanding == issued {
            return Ok(Some(Ok(())));
        }
        if self.read(move |archive| archive.has_succeeded_after(product_id, block.number)).await? {
            return Ok(None);
        }
        let detail = format!(
            "the ledger issued {issued} units, {outstanding} of which are outstanding; the register delivered {units_delivered}"
        );
        Ok(Some(Err(Finding { difference: Difference::Units, detail })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(time_seconds: u64) -> BlockRef {
        BlockRef { number: 7, hash: B256([7; 32]), time_seconds }
    }

    #[test]
    fn l20_a_difference_counts_when_it_is_seen_again_and_missing_records_when_they_stay_missing() {
        let id = ProductId::new(uuid::Uuid::from_u128(1));
        let mut known = Reconciliation::default();
        assert!(!known.confirm(id, Difference::Units, block(100)) && known.suspects(id));
        assert!(!known.confirm(id, Difference::ForeignOrder, block(101)), "it is another one");
        assert!(known.confirm(id, Difference::ForeignOrder, block(101)));
        assert!(!known.confirm(id, Difference::RecordsDoNotFold, block(102)));
        assert!(!known.confirm(id, Difference::RecordsDoNotFold, block(102 + FOLDS_WITHIN_S - 1)));
        assert!(known.confirm(id, Difference::RecordsDoNotFold, block(102 + FOLDS_WITHIN_S)));
        assert!(!known.suspects(ProductId::new(uuid::Uuid::from_u128(2))));
    }
}

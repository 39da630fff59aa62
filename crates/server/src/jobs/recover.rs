//! Going on where the database is older than the ledger: nothing is signed until nothing that was forgotten can run, what
//! the ledger knows is taken over, and no number or nonce is given again (design section 8, "Restore").
//!
//! A nonce is reserved, and a history written, before either is used. So the database is older than the ledger where the
//! ledger has used a nonce that it has not reserved, and it may be where its history restarted (`program::history`): signed
//! bytes that it does not remember may still wait in some pool. They carry out nothing after their `validUntil`.

use std::collections::BTreeMap;

use domain::ids::{InvestmentId, ProductId};
use domain::instant::Instant;
use domain::instruction::InstructionNumber;
use domain::investment::Issue;
use domain::product::Inconsistent;
use domain::units::Units;
use domain::wallet::EvmAddress;
use ledger::contract::{Checkpoint, Kind, Outcome, TrustedRecord, trusted_records};
use ledger::{At, B256};

use super::tend::Sight;
use super::{BlockTime, LedgerFault, LedgerWork};
use crate::operations::network::NetworkPin;
use crate::operations::recovery::{
    AdoptIssues, Adoption, AdvanceNonce, FoundIssue, HISTORY_SETTING, History, PutQuarantine, Quarantine, SKIPPED_ABOVE_LEDGER,
    SkipNumbers,
};
use crate::planted::Bug;

/// Issues that are looked at in one commit.
const ISSUES_MAX: usize = 200;
/// Nonces above the used ones that a node's pool is believed to hold: nodes keep no more of one account.
const POOL_NONCES_MAX: u64 = 64;

/// Whether the database is known to be no older than the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Recovery {
    /// This run has not looked yet, or another worker had the lane.
    #[default]
    Unknown,
    /// Nothing is signed.
    Quarantined(Quarantine),
    /// It knows everything.
    Settled,
}

/// What follows from what is stored and what the ledger shows.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Need {
    Nothing,
    Begin(&'static str),
    GoOn(Quarantine),
}

fn need(history: &History, stored: Option<Quarantine>, used: u64, reserved: u64) -> Need {
    let counted = stored.as_ref().map_or(0, |quarantine| quarantine.restart);
    if history.restarts > counted {
        return Need::Begin("the database's history restarted");
    }
    match stored {
        Some(running) if !running.is_over => Need::GoOn(running),
        Some(_) | None if used > reserved => Need::Begin("the ledger has used nonces that the database has not reserved"),
        Some(_) | None => Need::Nothing,
    }
}

impl LedgerWork {
    /// Until when nothing that was forgotten may be called impossible, in seconds of block time; `None` where nothing was.
    pub(super) fn quarantined_until_seconds(&self) -> Option<u64> {
        match &self.recovery {
            Recovery::Quarantined(quarantine) if !Bug::NoQuarantine.is_planted() => Some(quarantine.until_seconds),
            Recovery::Quarantined(_) | Recovery::Unknown | Recovery::Settled => None,
        }
    }

    /// Whether there is nothing to recover, as far as can be said without holding the lane.
    pub(super) async fn is_recovered(&mut self) -> Result<bool, LedgerFault> {
        if self.recovery == Recovery::Unknown {
            // The ledger first: what is reserved meanwhile only makes the database's number greater.
            let used = self.chain.nonce(self.signer.address(), At::Head).await?;
            if self.need(used).await? == Need::Nothing {
                self.recovery = Recovery::Settled;
            }
        }
        Ok(self.recovery == Recovery::Settled)
    }

    async fn need(&self, used: u64) -> Result<Need, LedgerFault> {
        let (signer, name) = (self.registrar(), Quarantine::setting(&self.network));
        let (history, quarantine) =
            self.read(move |archive| Ok((archive.setting(HISTORY_SETTING)?, archive.setting(&name)?))).await?;
        let history = History::of_stored(history.as_deref()).map_err(unreadable)?;
        let quarantine = Quarantine::of_stored(quarantine.as_deref()).map_err(unreadable)?;
        let reserved = self.read(move |archive| archive.next_nonce(signer)).await?;
        Ok(need(&history, quarantine, used, reserved))
    }

    /// Brings the database up to the ledger where it is older; says whether anything may be signed.
    pub(super) async fn recover(&mut self, pin: &NetworkPin, sight: &Sight) -> Result<bool, LedgerFault> {
        let need = match &self.recovery {
            Recovery::Quarantined(quarantine) => Need::GoOn(quarantine.clone()),
            Recovery::Unknown | Recovery::Settled => self.need(sight.next_nonce).await?,
        };
        let quarantine = match need {
            Need::Nothing => {
                self.recovery = Recovery::Settled;
                return Ok(true);
            }
            Need::GoOn(running) => running,
            Need::Begin(reason) => self.begin_quarantine(reason, sight).await?,
        };
        self.recovery = Recovery::Quarantined(quarantine.clone());
        self.take_over(pin, sight).await?;
        if self.ledger_seconds(sight).await? <= quarantine.until_seconds && !Bug::NoQuarantine.is_planted() {
            return Ok(false);
        }
        let ended = Quarantine { is_over: true, ..quarantine };
        self.lane.record(PutQuarantine { network: self.network.clone(), quarantine: ended }).await?;
        tracing::warn!(network = %self.network, "the quarantine is over: what the ledger knows was taken over, and signing goes on");
        self.recovery = Recovery::Settled;
        self.taken_over = BTreeMap::new();
        Ok(true)
    }

    async fn begin_quarantine(&mut self, reason: &'static str, sight: &Sight) -> Result<Quarantine, LedgerFault> {
        let history = self.read(|archive| archive.setting(HISTORY_SETTING)).await?;
        let History { restarts, restored_note: _ } = History::of_stored(history.as_deref()).map_err(unreadable)?;
        // Nothing but this program sends to a private ledger, and what its pool held is gone with it: nothing can come.
        let until_seconds = if self.policy.is_private {
            0
        } else {
            let begins = sight.finalized.time_seconds.max(self.now_seconds());
            begins.saturating_add(u64::try_from(self.policy.validity_s).unwrap_or(0))
        };
        let quarantine = Quarantine { restart: restarts, until_seconds, is_over: false };
        self.lane.record(PutQuarantine { network: self.network.clone(), quarantine: quarantine.clone() }).await?;
        self.meters.quarantines.increment(1);
        tracing::error!(network = %self.network, reason, until_seconds, "nothing is signed until nothing that was forgotten can run");
        Ok(quarantine)
    }

    /// The time of the ledger: nothing that runs later is older. A ledger that makes its blocks by the business clock makes
    /// none while nothing waits.
    async fn ledger_seconds(&self, sight: &Sight) -> Result<u64, LedgerFault> {
        let finalized = sight.finalized.time_seconds;
        match self.policy.block_time {
            BlockTime::Business if self.chain.head().await?.hash == sight.finalized.hash => Ok(finalized.max(self.now_seconds())),
            BlockTime::Business | BlockTime::Machine => Ok(finalized),
        }
    }

    fn now_seconds(&self) -> u64 {
        let now = match self.policy.block_time {
            BlockTime::Business => self.clock.now(),
            BlockTime::Machine => self.clock.machine_now(),
        };
        u64::try_from(now.seconds_floor()).unwrap_or(0)
    }

    /// Takes nonces, issues and numbers over from the ledger.
    async fn take_over(&mut self, pin: &NetworkPin, sight: &Sight) -> Result<(), LedgerFault> {
        self.advance_nonce(sight.next_nonce).await?;
        let network = self.network.clone();
        for product_id in self.read(move |archive| archive.products_of_network(&network)).await? {
            let Some(token) = self.token(pin.factory, product_id).await? else { continue };
            let since = Checkpoint { next_block: pin.from_block, running_hash: B256::ZERO };
            let since = self.taken_over.get(&product_id).copied().unwrap_or(since);
            let read = trusted_records(self.chain.as_ref(), token, since, sight.finalized).await?;
            self.skip_numbers(product_id, &read.records).await?;
            let applied = read.records.iter().filter(|trusted| trusted.record.outcome == Outcome::Applied);
            let issues: Vec<Issue> = applied.filter_map(issue_of).collect();
            for chunk in issues.chunks(ISSUES_MAX) {
                self.adopt(product_id, chunk).await?;
            }
            self.taken_over.insert(product_id, read.checkpoint);
        }
        Ok(())
    }

    /// Takes over what the ledger has used of the registrar's nonces, and what waits in the nodes' pools.
    pub(super) async fn advance_nonce(&mut self, unused: u64) -> Result<(), LedgerFault> {
        let pending = self.chain.pending_nonce(self.signer.address()).await?;
        let free = pending.clamp(unused, unused.saturating_add(POOL_NONCES_MAX));
        let signer = self.registrar();
        if self.read(move |archive| archive.next_nonce(signer)).await? < free {
            self.lane.record(AdvanceNonce { signer, unused, free }).await?;
        }
        Ok(())
    }

    /// Passes over the numbers that the records hold, and a margin above them for what was signed and forgotten.
    async fn skip_numbers(&mut self, product_id: ProductId, records: &[TrustedRecord]) -> Result<(), LedgerFault> {
        let mut highest: BTreeMap<u64, u64> = BTreeMap::new();
        let numbers = records.iter().map(|trusted| InstructionNumber::new(trusted.record.item.number));
        for number in numbers.filter(|number| number.is_of_a_campaign()) {
            let (index, sequence) = number.parts();
            let known = highest.entry(index).or_default();
            *known = sequence.max(*known);
        }
        let Some(highest_index) = highest.keys().next_back().and_then(|index| u32::try_from(*index).ok()) else { return Ok(()) };
        let campaigns = self.read(move |archive| archive.campaigns_by_index(product_id)).await?;
        let above = |sequence: &u64| sequence.saturating_add(SKIPPED_ABOVE_LEDGER);
        let known = campaigns.into_iter().filter_map(|(index, id)| Some((id, highest.get(&u64::from(index)).map(above)?)));
        let skip = SkipNumbers { campaigns: known.collect(), products: BTreeMap::from([(product_id, highest_index)]) };
        self.lane.record(skip).await
    }

    async fn adopt(&mut self, product_id: ProductId, issues: &[Issue]) -> Result<(), LedgerFault> {
        let wanted = issues.to_vec();
        let issues = self
            .read(move |archive| {
                let campaigns: BTreeMap<u64, _> =
                    archive.campaigns_by_index(product_id)?.into_iter().map(|(index, id)| (u64::from(index), id)).collect();
                let found = |issue: Issue| {
                    let campaign_id = campaigns.get(&issue.number.parts().0).copied();
                    Ok(FoundIssue { issue, wallet: archive.wallet_at(issue.account)?, campaign_id })
                };
                wanted.into_iter().map(found).collect()
            })
            .await?;
        for (investment_id, adoption) in self.lane.record(AdoptIssues { product_id, issues }).await? {
            match adoption {
                Adoption::Known => {}
                Adoption::Adopted => {
                    self.meters.adopted.increment(1);
                    tracing::warn!(%investment_id, network = %self.network, "an issue that the database had lost was taken over");
                }
                Adoption::Impossible(reason) => {
                    self.meters.unadoptable.increment(1);
                    tracing::error!(%investment_id, %reason, network = %self.network, "an issue of the ledger cannot be taken over");
                }
            }
        }
        Ok(())
    }
}

pub(super) fn unreadable(Inconsistent(what): Inconsistent) -> LedgerFault {
    LedgerFault::UnreadableRecovery(what)
}

/// What an applied record issued; `None` where it is no issue.
fn issue_of(trusted: &TrustedRecord) -> Option<Issue> {
    let item = &trusted.record.item;
    if item.kind != Kind::Issue {
        return None;
    }
    let seconds = i64::try_from(trusted.block.time_seconds).ok()?;
    Some(Issue {
        investment_id: InvestmentId::new(uuid::Uuid::from_bytes(item.id)),
        number: InstructionNumber::new(item.number),
        account: EvmAddress::new(item.account.0),
        units: u64::try_from(item.units).ok().and_then(Units::new)?,
        transaction_hash: trusted.tx_hash.0,
        block_number: trusted.block.number,
        block_time: Instant::from_micros(seconds.saturating_mul(1_000_000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_k15_a_restart_or_a_foreign_nonce_begins_a_quarantine_and_a_running_one_goes_on() {
        let quarantine = |restart, is_over| Some(Quarantine { restart, until_seconds: 9, is_over });
        let running = || Need::GoOn(Quarantine { restart: 1, until_seconds: 9, is_over: false });
        let restarted = || Need::Begin("the database's history restarted");
        let behind = || Need::Begin("the ledger has used nonces that the database has not reserved");
        for (restarts, stored, used, expected) in [
            (0, None, 3, Need::Nothing),
            (0, None, 2, Need::Nothing),
            (0, None, 4, behind()),
            (1, None, 3, restarted()),
            (1, quarantine(0, true), 3, restarted()),
            (2, quarantine(1, false), 3, restarted()),
            (1, quarantine(1, false), 3, running()),
            (1, quarantine(1, false), 4, running()),
            (1, quarantine(1, true), 3, Need::Nothing),
            (1, quarantine(1, true), 4, behind()),
        ] {
            let history = History { restarts, restored_note: None };
            assert_eq!(need(&history, stored.clone(), used, 3), expected, "{restarts} {stored:?} {used}");
        }
    }
}

//! Taking over from the ledger what a restored database does not know: units that were issued for an investment.
//!
//! An issue is an order of this register that stands in a finalized block: it was accepted and paid before it was signed
//! (design section 5), at the latest at the time of its block. What the database still knows of that is kept; what it lost
//! is taken to have been at the block's time.

use super::status::Facts;
use super::{AssignedWallet, Investment, InvestmentType, LatestCredit, PayableBasis, Progress, Review, Stated, Status, decide};
use crate::campaign::Campaign;
use crate::ids::{CreditId, InvestmentId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::investor::Investor;
use crate::payable::RULE_VERSION;
use crate::product::Product;
use crate::refusal::Refusal;
use crate::units::Units;
use crate::wallet::{EvmAddress, Wallet};

/// Units that stand issued in a finalized block, by a record that folds to the contract's running hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Issue {
    /// What they were issued for.
    pub investment_id: InvestmentId,
    /// Its number in the contract's memory.
    pub number: InstructionNumber,
    /// Who holds them.
    pub account: EvmAddress,
    /// How many.
    pub units: Units,
    /// The ledger transaction's hash.
    pub transaction_hash: [u8; 32],
    /// The block that holds it.
    pub block_number: u64,
    /// The block's time.
    pub block_time: Instant,
}

/// Why an issue cannot be taken over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unadoptable {
    /// The investment has ended since the restore.
    #[error("the investment has ended as {}", .0.code())]
    Ended(Status),
    /// It is for another number of units.
    #[error("the investment has {register} units, the ledger issued {ledger}")]
    OtherUnits {
        /// In the register.
        register: Units,
        /// On the ledger.
        ledger: Units,
    },
    /// No wallet with the address belongs to the investor, or to anybody.
    #[error("no wallet of the investor has the address")]
    UnknownWallet,
    /// The campaign was lost as well, or sells by another platform than that of the wallet.
    #[error("no campaign of the wallet's platform has the number")]
    UnknownCampaign,
    /// The rules stand against it: what it needs went to others since the restore, or it could not have been paid.
    #[error("{}", .0.code())]
    Rule(Refusal),
}

impl Investment {
    /// The investment with the issue: delivered. `Ok(None)` where it is delivered already, or a credit runs that the judge
    /// will end.
    ///
    /// # Errors
    /// It contradicts the issue.
    pub fn adopted(
        &self,
        issue: &Issue,
        wallet: Option<&Wallet>,
        credit_id: CreditId,
        (campaign, product): (&Campaign, &Product),
        now: Instant,
    ) -> Result<Option<Self>, Unadoptable> {
        if self.units != issue.units {
            return Err(Unadoptable::OtherUnits { register: self.units, ledger: issue.units });
        }
        if self.facts.ended.is_some() {
            return Err(Unadoptable::Ended(self.status()));
        }
        if self.latest_credit.is_some_and(|credit| credit.excludes_another) {
            return Ok(None);
        }
        let mut next = self.clone();
        next.wallet = Some(match (self.wallet, wallet) {
            (Some(known), _) if known.address == issue.account => known,
            (_, found) => assigned(found.filter(|found| found.investor_id == self.investor_id))?,
        });
        let at_block = Stated { at: issue.block_time, received_at: now };
        let accepted = self.facts.progress.accepted().unwrap_or(at_block);
        let paid = if let Some(paid) = self.facts.progress.paid() {
            paid
        } else {
            let amounts = decide::amounts(campaign, product, self.units, self.disagio, at_block.at.value_date());
            next.payable = amounts.map_err(first)?;
            at_block
        };
        next.facts.progress = Progress::Delivered { accepted, paid, delivered_at: now };
        next.latest_credit = Some(LatestCredit { id: credit_id, excludes_another: true });
        next.updated_at = now;
        Ok(Some(next))
    }

    /// An investment that was lost whole, made again from its issue. The units are still to be taken from the campaign.
    ///
    /// # Errors
    /// It could not have been paid.
    pub fn lost(
        issue: &Issue,
        (investor, wallet): (&Investor, &Wallet),
        credit_id: CreditId,
        (campaign, product): (&Campaign, &Product),
        now: Instant,
    ) -> Result<Self, Unadoptable> {
        if campaign.terms.platform_id != wallet.platform_id {
            return Err(Unadoptable::UnknownCampaign);
        }
        let at_block = Stated { at: issue.block_time, received_at: now };
        let payable = decide::amounts(campaign, product, issue.units, None, at_block.at.value_date()).map_err(first)?;
        Ok(Self {
            id: issue.investment_id,
            product_id: product.id,
            campaign_id: campaign.id,
            platform_id: campaign.terms.platform_id,
            issuer_organisation_id: product.organisation_id,
            investor_id: investor.id,
            number: issue.number,
            investment_type: InvestmentType::Primary,
            units: issue.units,
            remaining: issue.units,
            signed: at_block,
            disagio: None,
            payable,
            basis: PayableBasis {
                terms_version: product.terms_version,
                rule_version: RULE_VERSION,
                bears_interest: product.terms.interest.needs_nominal_value(),
            },
            wallet: Some(assigned(Some(wallet))?),
            facts: Facts {
                kyc_passed_at: Some(issue.block_time),
                review: if product.terms.outside_review { Review::Passed(issue.block_time) } else { Review::NotAsked },
                progress: Progress::Delivered { accepted: at_block, paid: at_block, delivered_at: now },
                ended: None,
            },
            latest_credit: Some(LatestCredit { id: credit_id, excludes_another: true }),
            signed_documents: Vec::new(),
            created_at: now,
            updated_at: now,
            version: 0,
        })
    }
}

fn assigned(wallet: Option<&Wallet>) -> Result<AssignedWallet, Unadoptable> {
    let wallet = wallet.ok_or(Unadoptable::UnknownWallet)?;
    Ok(AssignedWallet { id: wallet.id, address: wallet.address })
}

fn first(refusals: Vec<Refusal>) -> Unadoptable {
    refusals.into_iter().next().map_or(Unadoptable::UnknownCampaign, Unadoptable::Rule)
}

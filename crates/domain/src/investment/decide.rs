//! The decisions on an investment: each a column of checks, one named refusal a line, and then the effect.

use jiff::civil::Date;

use super::status::{Act, Ended, Ending, Facts, Progress, Review, Stated, Status, may};
use super::{AssignedWallet, Investment, InvestmentType, LatestCredit, PayableBasis};
use crate::campaign::Campaign;
use crate::document::SignedDocument;
use crate::ids::{CreditId, InvestmentId};
use crate::instant::Instant;
use crate::instruction::InstructionNumber;
use crate::investor::Investor;
use crate::money::Money;
use crate::payable::{Payable, RULE_VERSION, distinct, payable, payable_inputs};
use crate::product::{Inconsistent, Product};
use crate::refusal::Refusal;
use crate::units::Units;
use crate::wallet::Wallet;

/// What a distribution platform states when it creates an investment.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Who buys.
    pub investor: &'a Investor,
    /// Where.
    pub campaign: &'a Campaign,
    /// What.
    pub product: &'a Product,
    /// How many.
    pub units: Units,
    /// When the investor confirmed.
    pub signed_at: Instant,
    /// What was signed.
    pub signed_documents: Vec<SignedDocument>,
    /// Facts stated early.
    pub early: Statement<'a>,
}

/// Facts about an existing investment, stated in one call. They are taken together or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statement<'a> {
    /// The discount.
    pub disagio: Option<Money>,
    /// The issuer's acceptance.
    pub accepted_at: Option<Instant>,
    /// The payment.
    pub paid_at: Option<Instant>,
    /// Whether `accepted_at` is stated as null: refused once there is an acceptance, else nothing.
    pub is_accepted_at_null: bool,
    /// Whether `paid_at` is stated as null: refused once there is a payment, else nothing.
    pub is_paid_at_null: bool,
    /// The wallet it settles to; one of the investor's own.
    pub wallet: Option<&'a Wallet>,
}

impl Order<'_> {
    /// Decides whether the order becomes an investment.
    ///
    /// # Errors
    /// Every rule it breaks.
    pub fn decide(self, id: InvestmentId, now: Instant) -> Result<Investment, Vec<Refusal>> {
        let value_date = self.early.paid_at.unwrap_or(now).value_date();
        let mut broken = Vec::new();
        let amounts = amounts(self.campaign, self.product, self.units, self.early.disagio, value_date);
        let amounts = amounts.unwrap_or_else(|refusals| {
            broken = refusals;
            // Not seen by anybody: the order is refused.
            Payable::zero(self.campaign.terms.price_per_token.currency())
        });
        broken.extend(self.campaign.broken_rules(self.product, self.investor.person, self.units));
        let review = if self.product.terms.outside_review { Review::Pending } else { Review::NotAsked };
        let signed = Stated { at: self.signed_at, received_at: now };
        let mut investment = Investment {
            id,
            product_id: self.product.id,
            campaign_id: self.campaign.id,
            platform_id: self.campaign.terms.platform_id,
            issuer_organisation_id: self.product.organisation_id,
            investor_id: self.investor.id,
            // The number is given by `numbered`, when the campaign has taken the units.
            number: InstructionNumber::new(0),
            investment_type: InvestmentType::Primary,
            units: self.units,
            remaining: self.units,
            signed,
            disagio: self.early.disagio,
            payable: amounts,
            basis: PayableBasis {
                terms_version: self.product.terms_version,
                rule_version: RULE_VERSION,
                bears_interest: self.product.terms.interest.needs_nominal_value(),
            },
            wallet: None,
            facts: Facts {
                kyc_passed_at: self.investor.cleared_at(now).map(|_| now),
                review,
                progress: Progress::Signed,
                ended: None,
            },
            latest_credit: None,
            signed_documents: self.signed_documents,
            created_at: now,
            updated_at: now,
            version: 0,
        };
        broken.extend(investment.take_statement(&self.early, self.campaign, self.product, now));
        if broken.is_empty() { Ok(investment) } else { Err(distinct(broken)) }
    }
}

impl Investment {
    /// Gives a new investment its instruction number.
    ///
    /// # Errors
    /// The campaign has more investments, or the product more campaigns, than numbers can tell apart.
    pub fn numbered(mut self, campaign_index: u32, sequence: u64) -> Result<Self, Inconsistent> {
        self.number = InstructionNumber::of(campaign_index, sequence).ok_or(Inconsistent("investment.number"))?;
        Ok(self)
    }

    /// Takes a statement. `Ok(None)` where it says nothing new.
    ///
    /// # Errors
    /// Every part that is refused; nothing is taken then.
    pub fn stated(
        &self,
        statement: &Statement<'_>,
        campaign: &Campaign,
        product: &Product,
        now: Instant,
    ) -> Result<Option<Self>, Vec<Refusal>> {
        let mut next = self.clone();
        let broken = next.take_statement(statement, campaign, product, now);
        if !broken.is_empty() {
            return Err(distinct(broken));
        }
        if next == *self {
            return Ok(None);
        }
        Ok(Some(next.of_today(campaign, product, now).touched(now)))
    }

    /// Attaches a signed document. Nothing is ever replaced: a further document of the same type stands beside the first.
    ///
    /// # Errors
    /// The status does not allow it.
    pub fn attached(&self, document: SignedDocument, now: Instant) -> Result<Self, Refusal> {
        self.must_be_open(Act::AttachDocument)?;
        let mut next = self.clone();
        next.signed_documents.push(document);
        Ok(next.touched(now))
    }

    /// Ends the investment for the investor before acceptance.
    ///
    /// # Errors
    /// The status does not allow it (guide, "Cancellations").
    pub fn aborted(&self, cancellation_date: Instant, now: Instant) -> Result<Self, Refusal> {
        self.must_be_open(Act::Abort)?;
        Ok(self.ended(Ending::Aborted, cancellation_date, now))
    }

    /// Ends the investment because identification failed or took too long.
    ///
    /// # Errors
    /// The status does not allow it.
    pub fn kyc_failed(&self, now: Instant) -> Result<Self, Refusal> {
        self.must_be_open(Act::FailKyc)?;
        Ok(self.ended(Ending::KycInsufficient, now, now))
    }

    /// Records that the investor was identified.
    ///
    /// # Errors
    /// The status does not wait for it.
    pub fn kyc_passed(&self, now: Instant) -> Result<Self, Refusal> {
        self.must_be_open(Act::PassKyc)?;
        let mut next = self.clone();
        next.facts.kyc_passed_at = Some(now);
        Ok(next.touched(now))
    }

    /// Orders the credit.
    ///
    /// # Errors
    /// Every precondition that is not met: accepted, paid, wallet, identification still valid, no other credit, and a product
    /// whose ledger and register agree.
    pub fn credited(
        &self,
        (investor, product): (&Investor, &Product),
        credit_id: CreditId,
        now: Instant,
    ) -> Result<(Self, AssignedWallet), Vec<Refusal>> {
        if let Some(credit) = self.latest_credit.filter(|credit| credit.excludes_another) {
            return Err(vec![Refusal::CreditExists { credit_id: credit.id }]);
        }
        let mut broken = Vec::new();
        let status = self.status();
        match status {
            Status::Paid => {}
            Status::WaitingForAcceptance => broken.extend([Refusal::NotAccepted, Refusal::NotPaid]),
            Status::Accepted => broken.push(Refusal::NotPaid),
            Status::KycPending
            | Status::ReviewPending
            | Status::Delivered
            | Status::KycInsufficient
            | Status::Aborted
            | Status::Rejection
            | Status::Cancellation
            | Status::PaymentMissing => broken.push(Refusal::ActNotOpen { act: Act::Credit, status }),
        }
        if investor.cleared_at(now).is_none() {
            broken.push(Refusal::KycNotValid);
        }
        broken.extend(product.may_be_credited().err());
        match self.wallet {
            None => {
                broken.push(Refusal::WalletMissing);
                Err(broken)
            }
            Some(_) if !broken.is_empty() => Err(broken),
            Some(wallet) => {
                let mut next = self.clone();
                next.latest_credit = Some(LatestCredit { id: credit_id, excludes_another: true });
                Ok((next.touched(now), wallet))
            }
        }
    }

    /// Records the verdict that the units were issued.
    ///
    /// # Errors
    /// The investment is not paid: nothing could have been credited.
    pub fn delivered(&self, now: Instant) -> Result<Self, Inconsistent> {
        let mut next = self.clone();
        next.facts.progress = match self.facts.progress {
            Progress::Paid { accepted, paid } => Progress::Delivered { accepted, paid, delivered_at: now },
            Progress::Signed | Progress::Accepted { .. } | Progress::Delivered { .. } => {
                return Err(Inconsistent("investment.progress"));
            }
        };
        Ok(next.touched(now))
    }

    /// Records the verdict that the credit failed: the wallet is free again and another credit may be ordered.
    #[must_use]
    pub fn credit_failed(&self, now: Instant) -> Self {
        let mut next = self.clone();
        next.latest_credit = self.latest_credit.map(|credit| LatestCredit { excludes_another: false, ..credit });
        next.touched(now)
    }

    /// Gives the order of its credit anew, because the ledger holds the number of the one before for another order.
    #[must_use]
    pub fn credited_anew(&self, credit_id: CreditId, now: Instant) -> Self {
        let mut next = self.clone();
        next.latest_credit = Some(LatestCredit { id: credit_id, excludes_another: true });
        next.touched(now)
    }

    fn ended(&self, ending: Ending, cancellation_date: Instant, now: Instant) -> Self {
        let mut next = self.clone();
        next.facts.ended = Some(Ended {
            ending,
            cancellation: Stated { at: cancellation_date, received_at: now },
            refund_due: self.facts.progress.paid().is_some(),
        });
        next.touched(now)
    }

    fn touched(mut self, now: Instant) -> Self {
        self.updated_at = now;
        self
    }

    fn must_be_open(&self, act: Act) -> Result<(), Refusal> {
        let status = self.status();
        if may(status, act) { Ok(()) } else { Err(Refusal::ActNotOpen { act, status }) }
    }

    fn take_statement(
        &mut self,
        statement: &Statement<'_>,
        campaign: &Campaign,
        product: &Product,
        now: Instant,
    ) -> Vec<Refusal> {
        let strict = product.terms.strict_dates;
        let progress = self.facts.progress;
        let steps = [
            statement.is_accepted_at_null.then(|| empty_or_final("accepted_at", progress.accepted()).map_err(alone)),
            statement.is_paid_at_null.then(|| empty_or_final("paid_at", progress.paid()).map_err(alone)),
            statement.disagio.map(|disagio| self.take_disagio(disagio, campaign, product, now)),
            statement.accepted_at.map(|at| self.take_acceptance(Stated { at, received_at: now }, strict).map_err(alone)),
            statement.paid_at.map(|at| self.take_payment(Stated { at, received_at: now }, campaign, product)),
            statement.wallet.map(|wallet| self.take_wallet(wallet).map_err(alone)),
        ];
        steps.into_iter().flatten().filter_map(Result::err).flatten().collect()
    }

    fn take_disagio(&mut self, disagio: Money, campaign: &Campaign, product: &Product, now: Instant) -> Result<(), Vec<Refusal>> {
        if self.disagio == Some(disagio) {
            return Ok(());
        }
        self.must_be_open(Act::SetDisagio).map_err(alone)?;
        if self.facts.progress.accepted().is_some() {
            return Err(alone(Refusal::FactIsFinal { field: "disagio" }));
        }
        self.payable = amounts(campaign, product, self.units, Some(disagio), now.value_date())?;
        self.disagio = Some(disagio);
        Ok(())
    }

    fn take_acceptance(&mut self, stated: Stated, strict_dates: bool) -> Result<(), Refusal> {
        match self.facts.progress {
            Progress::Accepted { accepted } | Progress::Paid { accepted, .. } | Progress::Delivered { accepted, .. } => {
                same_or_final("accepted_at", accepted, stated)
            }
            Progress::Signed => {
                self.must_be_open(Act::Accept)?;
                let missing = self.missing_documents();
                if !missing.is_empty() {
                    return Err(Refusal::SignedDocumentsMissing { missing });
                }
                in_order(strict_dates, "accepted_at", stated, "signed_at", self.signed)?;
                self.facts.progress = Progress::Accepted { accepted: stated };
                Ok(())
            }
        }
    }

    /// The payment's date is the value date, and fixes the amounts.
    fn take_payment(&mut self, stated: Stated, campaign: &Campaign, product: &Product) -> Result<(), Vec<Refusal>> {
        match self.facts.progress {
            Progress::Paid { paid, .. } | Progress::Delivered { paid, .. } => {
                same_or_final("paid_at", paid, stated).map_err(alone)
            }
            Progress::Signed if self.facts.ended.is_none() => Err(alone(Refusal::NotAccepted)),
            Progress::Signed => self.must_be_open(Act::MarkPaid).map_err(alone),
            Progress::Accepted { accepted } => {
                self.must_be_open(Act::MarkPaid).map_err(alone)?;
                in_order(product.terms.strict_dates, "paid_at", stated, "accepted_at", accepted).map_err(alone)?;
                self.payable = amounts(campaign, product, self.units, self.disagio, stated.at.value_date())?;
                self.facts.progress = Progress::Paid { accepted, paid: stated };
                Ok(())
            }
        }
    }

    fn take_wallet(&mut self, wallet: &Wallet) -> Result<(), Refusal> {
        if self.wallet.is_some_and(|assigned| assigned.id == wallet.id) {
            return Ok(());
        }
        if let Some(credit) = self.latest_credit.filter(|credit| credit.excludes_another) {
            return Err(Refusal::WalletFixed { credit_id: credit.id });
        }
        self.must_be_open(Act::SetWallet)?;
        self.wallet = Some(AssignedWallet { id: wallet.id, address: wallet.address });
        Ok(())
    }
}

pub(super) fn amounts(
    campaign: &Campaign,
    product: &Product,
    units: Units,
    disagio: Option<Money>,
    value_date: Date,
) -> Result<Payable, Vec<Refusal>> {
    payable(&payable_inputs(campaign, product, units, disagio, value_date))
}

fn alone(refusal: Refusal) -> Vec<Refusal> {
    vec![refusal]
}

fn same_or_final(field: &'static str, known: Stated, stated: Stated) -> Result<(), Refusal> {
    if known.at == stated.at { Ok(()) } else { Err(Refusal::FactIsFinal { field }) }
}

/// A fact that was stated cannot be taken back.
fn empty_or_final(field: &'static str, known: Option<Stated>) -> Result<(), Refusal> {
    known.map_or(Ok(()), |_| Err(Refusal::FactIsFinal { field }))
}

fn in_order(strict: bool, later: &'static str, stated: Stated, earlier: &'static str, known: Stated) -> Result<(), Refusal> {
    if strict && stated.at < known.at {
        return Err(Refusal::DatesOutOfOrder { later, earlier, limit: known.at });
    }
    Ok(())
}

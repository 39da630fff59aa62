//! Investments. Their facts are nullable columns; what they amount to is checked against the stored status.

use domain::ids::{CreditId, WalletId};
use domain::instruction::InstructionNumber;
use domain::investment::{
    AssignedWallet, Ended, Ending, Facts, Investment, InvestmentType, LatestCredit, PayableBasis, Progress, Review, Stated,
    Status, status,
};
use domain::money::{Currency, Money};
use domain::payable::Payable;

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

const REVIEW_NOT_ASKED: &str = "not_asked";
const REVIEW_PENDING: &str = "pending";
const REVIEW_PASSED: &str = "passed";
const MIXED_CURRENCIES: &str = "mixes currencies";

table!(
    Investment, "investment",
    fixed: [
        "id", "product_id", "campaign_id", "platform_id", "issuer_organisation_id", "investor_id", "number",
        "investment_type", "units", "signed_at", "signed_received_at", "currency", "created_at", "terms_version",
        "bears_interest",
    ],
    changing: [
        "status", "remaining", "disagio_stated_minor", "investment_amount_minor", "agio_minor", "disagio_minor",
        "accrued_interest_minor", "payment_total_minor", "rule_version", "wallet_id", "wallet_address", "kyc_passed_at", "review",
        "review_passed_at", "accepted_at", "accepted_received_at", "paid_at", "paid_received_at", "delivered_at", "ending",
        "cancellation_at", "cancellation_received_at", "refund_due", "latest_credit_id", "latest_credit_excludes",
        "updated_at", "version",
    ]
);

impl Encode for Investment {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let currency = self.payable.payment_total.currency();
        row.id(self.id.uuid())
            .id(self.product_id.uuid())
            .id(self.campaign_id.uuid())
            .id(self.platform_id.uuid())
            .id(self.issuer_organisation_id.uuid())
            .id(self.investor_id.uuid())
            .number(self.number.get())
            .text(self.investment_type.code())
            .units(self.units)
            .instant(self.signed.at)
            .instant(self.signed.received_at)
            .text(currency.code())
            .instant(self.created_at)
            .number(u64::from(self.basis.terms_version))
            .flag(self.basis.bears_interest)
            .text(self.status().code())
            .units(self.remaining);
        encode_amounts(self, currency, row);
        row.number(u64::from(self.basis.rule_version));
        row.optional_id(self.wallet.map(|wallet| wallet.id.uuid()))
            .optional_bytes(self.wallet.map(|wallet| wallet.address.bytes()).as_ref().map(<[u8; 20]>::as_slice));
        encode_facts(&self.facts, row);
        row.optional_id(self.latest_credit.map(|credit| credit.id.uuid()))
            .optional_flag(self.latest_credit.map(|credit| credit.excludes_another))
            .instant(self.updated_at)
            .next_version(self.version);
    }
}

impl Decode for Investment {
    /// The signed documents stand in a table of their own and are put in by the engine.
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (id, product_id, campaign_id) = (row.id()?, row.id()?, row.id()?);
        let (platform_id, issuer_organisation_id, investor_id) = (row.id()?, row.id()?, row.id()?);
        let number = row.number().map(InstructionNumber::new)?;
        let investment_type = row.code(|code| (code == InvestmentType::Primary.code()).then_some(InvestmentType::Primary))?;
        let units = row.units()?;
        let signed = Stated { at: row.instant()?, received_at: row.instant()? };
        let currency = row.currency()?;
        let created_at = row.instant()?;
        let (terms_version, bears_interest) = (row.number()?, row.flag()?);
        let stored_status = row.code(Status::from_code)?;
        let remaining = row.units()?;
        let disagio = row.optional_number()?.map(|minor| Money::from_minor(minor, currency));
        let payable = payable(row, currency)?;
        let basis = PayableBasis { terms_version, rule_version: row.number()?, bears_interest };
        let wallet = wallet(row)?;
        let facts = facts(row)?;
        if status(&facts) != stored_status {
            return Err(row.fault_at("status"));
        }
        let latest_credit = latest_credit(row)?;
        let signed_documents = Vec::new();
        let (updated_at, version) = (row.instant()?, row.number()?);
        Ok(Self {
            id,
            product_id,
            campaign_id,
            platform_id,
            issuer_organisation_id,
            investor_id,
            number,
            investment_type,
            units,
            remaining,
            signed,
            disagio,
            payable,
            basis,
            wallet,
            facts,
            latest_credit,
            signed_documents,
            created_at,
            updated_at,
            version,
        })
    }
}

fn encode_amounts<S: Sink>(investment: &Investment, currency: Currency, row: &mut Encoder<'_, S>) {
    let Payable { investment_amount, agio, disagio, accrued_interest, payment_total } = investment.payable;
    let amounts = [investment_amount, agio, disagio, accrued_interest, payment_total];
    if investment.disagio.iter().chain(&amounts).any(|amount| amount.currency() != currency) {
        row.refuse(MIXED_CURRENCIES);
    }
    row.optional_signed(investment.disagio.map(Money::minor));
    for amount in amounts {
        row.signed(amount.minor());
    }
}

fn encode_facts<S: Sink>(facts: &Facts, row: &mut Encoder<'_, S>) {
    let (review, review_passed_at) = match facts.review {
        Review::NotAsked => (REVIEW_NOT_ASKED, None),
        Review::Pending => (REVIEW_PENDING, None),
        Review::Passed(at) => (REVIEW_PASSED, Some(at)),
    };
    row.optional_instant(facts.kyc_passed_at).text(review).optional_instant(review_passed_at);
    encode_stated(facts.progress.accepted(), row);
    encode_stated(facts.progress.paid(), row);
    row.optional_instant(facts.progress.delivered_at()).optional_text(facts.ended.map(|ended| ended.ending.code()));
    encode_stated(facts.ended.map(|ended| ended.cancellation), row);
    row.optional_flag(facts.ended.map(|ended| ended.refund_due));
}

fn encode_stated<S: Sink>(stated: Option<Stated>, row: &mut Encoder<'_, S>) {
    row.optional_instant(stated.map(|stated| stated.at)).optional_instant(stated.map(|stated| stated.received_at));
}

fn payable<C: Cells>(row: &mut Decoder<'_, C>, currency: Currency) -> Result<Payable, StoreError> {
    let mut amount = || row.number().map(|minor| Money::from_minor(minor, currency));
    Ok(Payable {
        investment_amount: amount()?,
        agio: amount()?,
        disagio: amount()?,
        accrued_interest: amount()?,
        payment_total: amount()?,
    })
}

fn wallet<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Option<AssignedWallet>, StoreError> {
    let id: Option<WalletId> = row.optional_id()?;
    match (id, row.optional_address()?) {
        (Some(id), Some(address)) => Ok(Some(AssignedWallet { id, address })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(row.fault()),
    }
}

fn facts<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Facts, StoreError> {
    let kyc_passed_at = row.optional_instant()?;
    let code = row.text()?;
    let review = match (code, row.optional_instant()?) {
        (REVIEW_NOT_ASKED, None) => Review::NotAsked,
        (REVIEW_PENDING, None) => Review::Pending,
        (REVIEW_PASSED, Some(at)) => Review::Passed(at),
        _ => return Err(row.fault_at("review")),
    };
    let (accepted, paid) = (stated(row)?, stated(row)?);
    let progress = match (accepted, paid, row.optional_instant()?) {
        (None, None, None) => Progress::Signed,
        (Some(accepted), None, None) => Progress::Accepted { accepted },
        (Some(accepted), Some(paid), None) => Progress::Paid { accepted, paid },
        (Some(accepted), Some(paid), Some(delivered_at)) => Progress::Delivered { accepted, paid, delivered_at },
        (None, Some(_), _) => return Err(row.fault_at("paid_at")),
        (_, None, Some(_)) => return Err(row.fault_at("delivered_at")),
    };
    let ending = row.optional_code(Ending::from_code)?;
    let cancellation = stated(row)?;
    let ended = match (ending, cancellation, row.optional_flag()?) {
        (Some(ending), Some(cancellation), Some(refund_due)) => Some(Ended { ending, cancellation, refund_due }),
        (None, None, None) => None,
        _ => return Err(row.fault_at("ending")),
    };
    Ok(Facts { kyc_passed_at, review, progress, ended })
}

/// A stated date and its arrival, two columns that are filled both or not at all.
fn stated<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Option<Stated>, StoreError> {
    match (row.optional_instant()?, row.optional_instant()?) {
        (Some(at), Some(received_at)) => Ok(Some(Stated { at, received_at })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(row.fault()),
    }
}

fn latest_credit<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Option<LatestCredit>, StoreError> {
    let id: Option<CreditId> = row.optional_id()?;
    match (id, row.optional_flag()?) {
        (Some(id), Some(excludes_another)) => Ok(Some(LatestCredit { id, excludes_another })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(row.fault()),
    }
}

//! The canonical state of each journaled object: what the journal's HMAC is made of, and what `scrip verify`
//! recomputes from the rows. Every fact of a row is in it, but for the version that guards updates.

use uuid::Uuid;

use crate::campaign::Campaign;
use crate::credit::{Credit, CreditState};
use crate::document::Document;
use crate::freeze::Freeze;
use crate::interest::canonical;
use crate::investment::{Investment, PayableBasis, Review, Stated};
use crate::investor::{Investor, Kyc};
use crate::journal::{Canonical, Object, ObjectKind};
use crate::money::{Money, Price};
use crate::organisation::{Client, Organisation};
use crate::product::{Issuer, Listing, Product, Token};
use crate::wallet::Wallet;
use crate::webhook::{Webhook, WebhookState};

/// An object whose changes stand in the journal.
pub trait Journaled {
    /// What it is.
    fn object(&self) -> Object;

    /// The investor whose key seals its values; `None` where it concerns no person.
    fn subject(&self) -> Option<Uuid>;

    /// Its canonical state.
    fn state(&self) -> Canonical;
}

impl Journaled for Organisation {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Organisation, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state.text(self.kind.code()).text(self.name.as_str()).instant(Some(self.created_at));
        state
    }
}

impl Journaled for Client {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Client, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.organisation_id.bytes())
            .text(self.kind.code())
            .bytes(&self.secret_digest)
            .number(self.epoch)
            .instant(self.revoked_at)
            .instant(Some(self.created_at));
        state
    }
}

/// Whether it rests is not in it: the relay says so without a command.
impl Journaled for Webhook {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Webhook, id: self.organisation_id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let removed_at = match self.state {
            WebhookState::Active | WebhookState::Resting { .. } => None,
            WebhookState::Removed { at } => Some(at),
        };
        let mut state = Canonical::new();
        state.text(&self.url).bytes(&self.sealed).instant(Some(self.created_at)).instant(removed_at);
        state
    }
}

impl Journaled for Issuer {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Issuer, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.organisation_id.bytes())
            .text(self.company_name.as_str())
            .text(self.commercial_register.as_str())
            .text(self.commercial_register_number.as_str())
            .instant(Some(self.created_at));
        state
    }
}

impl Journaled for Product {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Product, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let terms = &self.terms;
        let mut state = Canonical::new();
        state
            .bytes(&self.organisation_id.bytes())
            .bytes(&self.issuer_id.bytes())
            .text(terms.name.as_str())
            .text(terms.asset_code.as_str())
            .text(terms.product_type.code())
            .flag(terms.ewpg)
            .optional(terms.isin.as_deref().map(str::as_bytes))
            .number(terms.issuable_units_max.get())
            .number(terms.step_size.get())
            .text(&terms.agio_percent.to_string());
        money(&mut state, terms.nominal_value);
        canonical::write(&mut state, &terms.interest);
        state
            .flag(terms.outside_review)
            .flag(terms.strict_dates)
            .instant(terms.lock_in_until)
            .bytes(&terms.terms_hash)
            .number(self.reserved.get())
            .number(u64::from(self.campaigns_created))
            .instant(Some(self.created_at));
        match self.token {
            Token::Deploying => state.flag(false),
            Token::Deployed(address) => state.flag(true).bytes(&address.bytes()),
        };
        // Products from before terms had versions have the first, and their entries stay what they are.
        if self.terms_version != 1 {
            state.number(u64::from(self.terms_version));
        }
        // So do those from before products named their network.
        if !terms.network.is_embedded() {
            state.text(terms.network.as_str());
        }
        skipped(&mut state, u64::from(self.campaign_indexes_skipped));
        if let Some(Freeze { since, block_number, difference, detail, is_release_asked }) = &self.freeze {
            state.text("frozen").instant(Some(*since)).number(*block_number).text(difference.code()).text(detail);
            state.flag(*is_release_asked);
        }
        state
    }
}

impl Journaled for Listing {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Listing, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state.bytes(&self.product_id.bytes()).bytes(&self.platform_id.bytes()).instant(Some(self.created_at));
        state
    }
}

/// Numbers that were passed over after a restore. Where there never was one, entries stay what they are.
fn skipped(state: &mut Canonical, numbers: u64) {
    if numbers != 0 {
        state.text("skipped").number(numbers);
    }
}

impl Journaled for Campaign {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Campaign, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    /// Without `used` and `investments_created`: they follow from the campaign's investments, each of which has its own
    /// entry, and an entry per sale would double the journal. `scrip verify` adds them up.
    fn state(&self) -> Canonical {
        let terms = &self.terms;
        let mut state = Canonical::new();
        state
            .bytes(&self.product_id.bytes())
            .bytes(&self.organisation_id.bytes())
            .number(u64::from(self.index))
            .bytes(&terms.platform_id.bytes())
            .text(terms.name.as_str())
            .number(terms.allocation.get());
        price(&mut state, terms.price_per_token);
        state
            .number(terms.min_number_of_tokens.get())
            .number(terms.max_number_of_tokens.get())
            .flag(terms.legal_persons_allowed)
            .flag(terms.natural_persons_allowed)
            .text(terms.country.code())
            .text(terms.rule.code());
        money(&mut state, terms.rule.minimum());
        state.text(&terms.agio_percent.to_string()).flag(self.is_active).instant(Some(self.created_at));
        skipped(&mut state, self.numbers_skipped);
        state
    }
}

impl Journaled for Investor {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Investor, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        Some(self.id.uuid())
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state.bytes(&self.platform_id.bytes()).text(self.person.code()).text(self.kyc.code());
        match self.kyc {
            Kyc::Pending => state.flag(false),
            Kyc::Passed { at, valid_until } => state.instant(Some(at)).instant(valid_until),
            Kyc::Failed { at } => state.instant(Some(at)),
        };
        state.number(u64::from(self.benefiting_persons)).instant(Some(self.created_at));
        state
    }
}

impl Journaled for Wallet {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Wallet, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        Some(self.investor_id.uuid())
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.investor_id.bytes())
            .bytes(&self.platform_id.bytes())
            .bytes(&self.address.bytes())
            .flag(self.receiving_enabled)
            .instant(Some(self.created_at));
        state
    }
}

impl Journaled for Document {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Document, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        None
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.organisation_id.bytes())
            .text(&self.file_name)
            .text(&self.content_type)
            .number(self.size_bytes)
            .bytes(&self.sha256)
            .text(self.content_check.code())
            .instant(Some(self.created_at));
        state
    }
}

impl Journaled for Investment {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Investment, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        Some(self.investor_id.uuid())
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.product_id.bytes())
            .bytes(&self.campaign_id.bytes())
            .bytes(&self.platform_id.bytes())
            .bytes(&self.issuer_organisation_id.bytes())
            .bytes(&self.investor_id.bytes())
            .number(self.number.get())
            .text(self.investment_type.code())
            .number(self.units.get())
            .number(self.remaining.get());
        stated(&mut state, Some(self.signed));
        money(&mut state, self.disagio);
        for amount in [
            self.payable.investment_amount,
            self.payable.agio,
            self.payable.disagio,
            self.payable.accrued_interest,
            self.payable.payment_total,
        ] {
            money(&mut state, Some(amount));
        }
        match &self.wallet {
            Some(wallet) => state.flag(true).bytes(&wallet.id.bytes()).bytes(&wallet.address.bytes()),
            None => state.flag(false),
        };
        facts(&mut state, self);
        match &self.latest_credit {
            Some(credit) => state.flag(true).bytes(&credit.id.bytes()).flag(credit.excludes_another),
            None => state.flag(false),
        };
        for document in &self.signed_documents {
            state
                .bytes(&document.id.bytes())
                .text(document.document_type.code())
                .bytes(&document.document_id.bytes())
                .instant(Some(document.created_at));
        }
        state.instant(Some(self.created_at)).instant(Some(self.updated_at));
        // Investments from before their basis was kept follow from the first of each, and their entries stay what they are.
        let PayableBasis { terms_version, rule_version, bears_interest } = self.basis;
        if (terms_version, rule_version, bears_interest) != (1, 1, false) {
            state.number(u64::from(terms_version)).number(u64::from(rule_version)).flag(bears_interest);
        }
        state
    }
}

impl Journaled for Credit {
    fn object(&self) -> Object {
        Object { kind: ObjectKind::Credit, id: self.id.uuid() }
    }

    fn subject(&self) -> Option<Uuid> {
        Some(self.investor_id.uuid())
    }

    fn state(&self) -> Canonical {
        let mut state = Canonical::new();
        state
            .bytes(&self.investment_id.bytes())
            .bytes(&self.product_id.bytes())
            .bytes(&self.platform_id.bytes())
            .bytes(&self.investor_id.bytes())
            .number(self.number.get())
            .number(self.units.get())
            .bytes(&self.address.bytes())
            .text(self.state.code())
            .instant(Some(self.created_at));
        match self.state {
            CreditState::Processing => {}
            CreditState::Succeeded { transaction_hash, block_number, finished_at } => {
                state.bytes(&transaction_hash).number(block_number).instant(Some(finished_at));
            }
            CreditState::Failed { failure, finished_at } => {
                state.text(failure.code()).instant(Some(finished_at));
            }
        }
        state
    }
}

fn facts(state: &mut Canonical, investment: &Investment) {
    let facts = &investment.facts;
    state.text(investment.status().code()).instant(facts.kyc_passed_at);
    match facts.review {
        Review::NotAsked => state.text("not_asked"),
        Review::Pending => state.text("pending"),
        Review::Passed(at) => state.text("passed").instant(Some(at)),
    };
    stated(state, facts.progress.accepted());
    stated(state, facts.progress.paid());
    state.instant(facts.progress.delivered_at());
    match &facts.ended {
        Some(ended) => {
            state.flag(true).text(ended.ending.code()).flag(ended.refund_due);
            stated(state, Some(ended.cancellation));
        }
        None => {
            state.flag(false);
        }
    }
}

fn stated(state: &mut Canonical, stated: Option<Stated>) {
    state.instant(stated.map(|s| s.at)).instant(stated.map(|s| s.received_at));
}

fn money(state: &mut Canonical, money: Option<Money>) {
    match money {
        Some(money) => state.flag(true).signed(money.minor()).text(money.currency().code()),
        None => state.flag(false),
    };
}

fn price(state: &mut Canonical, price: Price) {
    state.number(price.amount()).number(u64::from(price.decimals())).text(price.currency().code());
}

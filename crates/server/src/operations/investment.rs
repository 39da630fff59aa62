//! Investments: creating them, stating facts about them, attaching documents, ending them.

use domain::campaign::Campaign;
use domain::document::{SignedDocument, SignedDocumentType};
use domain::ids::{CampaignId, DocumentId, InvestmentId, InvestorId, OrganisationId, SignedDocumentId, WalletId};
use domain::instant::Instant;
use domain::investment::{Investment, Order, Party, Statement};
use domain::money::Money;
use domain::product::{Inconsistent, Product};
use domain::units::Units;
use domain::wallet::Wallet;
use store::{Book, Wanted};

use super::{Context, Operation, Refused, refused_on};
use crate::planted::Bug;

/// A signed document that a request refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocumentReference {
    /// What it is.
    pub document_type: SignedDocumentType,
    /// The uploaded document.
    pub document_id: DocumentId,
}

/// Facts that a request states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatedFacts {
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
    /// The wallet.
    pub wallet_id: Option<WalletId>,
}

/// Creates an investment in a campaign.
#[derive(Clone, Debug)]
pub struct CreateInvestment {
    /// The distribution platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investors.
    pub investor_id: InvestorId,
    /// A campaign made for it.
    pub campaign_id: CampaignId,
    /// How many units.
    pub units: Units,
    /// When the investor confirmed.
    pub signed_at: Instant,
    /// What was signed.
    pub signed_documents: Vec<DocumentReference>,
    /// Facts stated early.
    pub facts: StatedFacts,
}

impl Operation for CreateInvestment {
    type Output = Investment;

    fn want(&self, wanted: &mut Wanted) {
        wanted.campaigns.insert(self.campaign_id);
        wanted.investors.insert(self.investor_id);
        wanted.documents.extend(self.signed_documents.iter().map(|reference| reference.document_id));
        wanted.wallets.extend(self.facts.wallet_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Investment, Refused> {
        self.find_everything(book)?;
        let is_stale = Bug::ReadThenInsert.is_planted();
        let campaigns = &book.campaigns;
        let campaign = if is_stale { campaigns.as_loaded(&self.campaign_id) } else { campaigns.get(&self.campaign_id) };
        let mut campaign = campaign.ok_or(Refused::NotFound)?.clone();
        let product = book.products.get(&campaign.product_id).ok_or(Inconsistent("campaign.product_id"))?;
        let investor = book.investors.get(&self.investor_id).ok_or(Refused::NotFound)?;
        let id: InvestmentId = cx.entropy.id(cx.now);
        // The list is in order of instant and id, so ids that ascend keep the order of the call.
        let mut ids: Vec<SignedDocumentId> = self.signed_documents.iter().map(|_| cx.entropy.id(cx.now)).collect();
        ids.sort_unstable();
        let attach = |(signed_id, reference)| signed_document(signed_id, id, reference, cx.now);
        let signed_documents = ids.into_iter().zip(self.signed_documents.iter().copied()).map(attach).collect();
        let order = Order {
            investor,
            campaign: &campaign,
            product,
            units: self.units,
            signed_at: self.signed_at,
            signed_documents,
            early: statement(&self.facts, book)?,
        };
        let investment = order.decide(id, cx.now)?;
        let sequence = campaign.take(self.units)?;
        let investment = investment.numbered(campaign.index, sequence)?;
        cx.journal(book, "create_investment", &investment)?;
        book.campaigns.put(campaign.id, campaign);
        book.investments.put(id, investment.clone());
        Ok(investment)
    }

    fn subject(&self, _book: &Book) -> Option<InvestorId> {
        Some(self.investor_id)
    }
}

impl CreateInvestment {
    /// Every id of the body that is missing or foreign; which of both it is, is not told.
    fn find_everything(&self, book: &Book) -> Result<(), Refused> {
        let mut missing = Vec::new();
        if book.campaigns.get(&self.campaign_id).is_none_or(|campaign| campaign.terms.platform_id != self.platform_id) {
            missing.push("/campaign_id".to_owned());
        }
        if book.investors.get(&self.investor_id).is_none_or(|investor| investor.platform_id != self.platform_id) {
            missing.push("/investor_id".to_owned());
        }
        for (index, reference) in self.signed_documents.iter().enumerate() {
            if !document_is_of(book, reference.document_id, self.platform_id) {
                missing.push(format!("/signed_documents/{index}/document_id"));
            }
        }
        if !wallet_is_of(book, self.facts.wallet_id, self.investor_id, self.platform_id) {
            missing.push("/wallet".to_owned());
        }
        if missing.is_empty() { Ok(()) } else { Err(Refused::BodyIdsNotFound(missing)) }
    }
}

/// States facts about an investment.
#[derive(Clone, Copy, Debug)]
pub struct StateFacts {
    /// The distribution platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investments.
    pub investment_id: InvestmentId,
    /// What is stated.
    pub facts: StatedFacts,
}

impl Operation for StateFacts {
    type Output = Investment;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investments.insert(self.investment_id);
        wanted.wallets.extend(self.facts.wallet_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Investment, Refused> {
        let investment = investment_of(book, self.platform_id, self.investment_id)?;
        if !wallet_is_of(book, self.facts.wallet_id, investment.investor_id, self.platform_id) {
            return Err(Refused::BodyIdsNotFound(vec!["/wallet".into()]));
        }
        let (campaign, product) = campaign_and_product(book, investment)?;
        let next = investment
            .stated(&statement(&self.facts, book)?, campaign, product, cx.now)
            .map_err(|refusals| refused_on(investment, Party::Distributor, refusals))?;
        let Some(next) = next else { return Ok(investment.clone()) };
        cx.journal(book, "state_facts", &next)?;
        book.investments.put(next.id, next.clone());
        Ok(next)
    }

    fn subject(&self, book: &Book) -> Option<InvestorId> {
        subject_of(book, self.investment_id)
    }
}

/// Attaches a signed document to an investment.
#[derive(Clone, Copy, Debug)]
pub struct AttachDocument {
    /// The distribution platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investments.
    pub investment_id: InvestmentId,
    /// The document.
    pub reference: DocumentReference,
}

impl Operation for AttachDocument {
    type Output = SignedDocument;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investments.insert(self.investment_id);
        wanted.documents.insert(self.reference.document_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<SignedDocument, Refused> {
        let investment = investment_of(book, self.platform_id, self.investment_id)?;
        if !document_is_of(book, self.reference.document_id, self.platform_id) {
            return Err(Refused::BodyIdsNotFound(vec!["/document_id".into()]));
        }
        let document = signed_document(cx.entropy.id(cx.now), self.investment_id, self.reference, cx.now);
        let next = investment
            .attached(document.clone(), cx.now)
            .map_err(|refusal| refused_on(investment, Party::Distributor, vec![refusal]))?;
        cx.journal(book, "attach_document", &next)?;
        book.investments.put(next.id, next);
        Ok(document)
    }

    fn subject(&self, book: &Book) -> Option<InvestorId> {
        subject_of(book, self.investment_id)
    }
}

/// Ends an investment for the investor before acceptance.
#[derive(Clone, Copy, Debug)]
pub struct AbortInvestment {
    /// The distribution platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investments.
    pub investment_id: InvestmentId,
    /// The date the investor asked.
    pub cancellation_date: Instant,
}

impl Operation for AbortInvestment {
    type Output = Investment;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investments.insert(self.investment_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Investment, Refused> {
        let investment = investment_of(book, self.platform_id, self.investment_id)?;
        let next = investment
            .aborted(self.cancellation_date, cx.now)
            .map_err(|refusal| refused_on(investment, Party::Distributor, vec![refusal]))?;
        give_units_back(book, cx, &next)?;
        cx.journal(book, "abort", &next)?;
        book.investments.put(next.id, next.clone());
        Ok(next)
    }

    fn subject(&self, book: &Book) -> Option<InvestorId> {
        subject_of(book, self.investment_id)
    }
}

/// Returns the units of an ended investment to its campaign, or to the product where the campaign is inactive.
pub(super) fn give_units_back(book: &mut Book, cx: &mut Context<'_>, ended: &Investment) -> Result<(), Inconsistent> {
    let (campaign, product) = campaign_and_product(book, ended)?;
    let (mut campaign, mut product) = (campaign.clone(), product.clone());
    let reserved_before = product.reserved;
    campaign.give_back(&mut product, ended.units)?;
    if product.reserved != reserved_before {
        cx.journal(book, "give_back", &product)?;
        book.products.put(product.id, product);
    }
    book.campaigns.put(campaign.id, campaign);
    Ok(())
}

/// A platform's investment; a foreign one is not found.
pub(super) fn investment_of(book: &Book, platform_id: OrganisationId, id: InvestmentId) -> Result<&Investment, Refused> {
    book.investments
        .get(&id)
        .filter(|investment| investment.platform_id == platform_id || Bug::ForeignInvestment.is_planted())
        .ok_or(Refused::NotFound)
}

/// The investor of an investment.
pub(super) fn subject_of(book: &Book, id: InvestmentId) -> Option<InvestorId> {
    book.investments.get(&id).map(|investment| investment.investor_id)
}

fn campaign_and_product<'a>(book: &'a Book, investment: &Investment) -> Result<(&'a Campaign, &'a Product), Inconsistent> {
    let campaign = book.campaigns.get(&investment.campaign_id).ok_or(Inconsistent("investment.campaign_id"))?;
    let product = book.products.get(&investment.product_id).ok_or(Inconsistent("investment.product_id"))?;
    Ok((campaign, product))
}

fn statement<'a>(facts: &StatedFacts, book: &'a Book) -> Result<Statement<'a>, Inconsistent> {
    let wallet: Option<&Wallet> = match facts.wallet_id {
        Some(id) => Some(book.wallets.get(&id).ok_or(Inconsistent("wallet"))?),
        None => None,
    };
    Ok(Statement {
        disagio: facts.disagio,
        accepted_at: facts.accepted_at,
        paid_at: facts.paid_at,
        is_accepted_at_null: facts.is_accepted_at_null,
        is_paid_at_null: facts.is_paid_at_null,
        wallet,
    })
}

fn signed_document(
    id: SignedDocumentId,
    investment_id: InvestmentId,
    reference: DocumentReference,
    now: Instant,
) -> SignedDocument {
    SignedDocument {
        id,
        investment_id,
        document_type: reference.document_type,
        document_id: reference.document_id,
        created_at: now,
    }
}

fn document_is_of(book: &Book, id: DocumentId, platform_id: OrganisationId) -> bool {
    book.documents.get(&id).is_some_and(|document| document.organisation_id == platform_id)
}

fn wallet_is_of(book: &Book, id: Option<WalletId>, investor_id: InvestorId, platform_id: OrganisationId) -> bool {
    let mine = |wallet: &Wallet| wallet.investor_id == investor_id && wallet.platform_id == platform_id;
    id.is_none_or(|id| book.wallets.get(&id).is_some_and(mine))
}

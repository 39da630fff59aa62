//! What an investment costs today, and quotes without an investment.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::{CampaignId, InvestmentId, ProductId};
use domain::instant::Instant;
use domain::investment::Investment;
use domain::payable::{explained, payable_inputs};
use domain::units::{UNITS_MAX, Units};
use store::queries::{Page, Viewer};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Counter;
use super::body::{Fields, JsonBody, date, unsigned};
use super::caller::{Caller, DistributorInvestmentsRead, DistributorProductsRead, IssuerInvestmentsRead};
use super::errors::{QuoteErrors, ReadErrors, RefusedErrors};
use super::payable_view::PayableView;
use super::problem::Problem;
use super::reading::{Ids, NoQuery};
use super::refused::problem_of;
use super::view::{MoneyView, money};
use crate::operations::Refused;

/// What a quote is asked for.
#[derive(Debug, ToSchema)]
pub struct NewQuote {
    /// How many units.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, example = 10)]
    pub units: u64,
    /// A discount.
    #[schema(nullable = false)]
    pub disagio: Option<MoneyView>,
    /// The day on which the payment would count; today in Europe/Berlin where nothing is said.
    #[schema(nullable = false, format = Date, example = "2025-03-12")]
    pub value_date: Option<String>,
}

/// The routes of the Distributor API.
pub fn distributor_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(read_payable)).routes(routes!(create_quote))
}

/// The routes of the Issuer API.
pub fn issuer_routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(read_payable_in_product))
}

/// Read what an investment costs, line by line.
#[utoipa::path(get, path = "/api/distributor/v2/investments/{investment_id}/payable/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path)),
    responses((status = 200, description = "The amounts and how they come about.", body = PayableView), ReadErrors, RefusedErrors),
    security(("oauth2" = ["investments:read"])))]
async fn read_payable(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<PayableView>, Problem> {
    payable_of(&counter, Viewer::Platform(caller.organisation_id), InvestmentId::new(investment_id), caller.now).await
}

/// Read what an investment in one of one's products costs, line by line.
#[utoipa::path(get, path = "/api/issuer/v2/investments/{investment_id}/payable/", tag = "Issuer: investments",
    params(("investment_id" = Uuid, Path)),
    responses((status = 200, description = "The amounts and how they come about.", body = PayableView), ReadErrors, RefusedErrors),
    security(("oauth2" = ["investments:read"])))]
async fn read_payable_in_product(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<PayableView>, Problem> {
    payable_of(&counter, Viewer::Issuer(caller.organisation_id), InvestmentId::new(investment_id), caller.now).await
}

/// Ask what units of a campaign would cost. Nothing is recorded, and no idempotency key is needed.
#[utoipa::path(post, path = "/api/distributor/v2/products/{product_id}/campaigns/{campaign_id}/quotes/",
    tag = "Distributor: products", params(("product_id" = Uuid, Path), ("campaign_id" = Uuid, Path)),
    request_body = NewQuote,
    responses((status = 200, description = "The amounts and how they come about.", body = PayableView), QuoteErrors),
    security(("oauth2" = ["products:read"]), ("oauth2" = ["investments:read"]), ("oauth2" = ["investments:write"])))]
async fn create_quote(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorProductsRead>,
    Ids([product_id, campaign_id]): Ids<2>,
    _: NoQuery,
    JsonBody(body): JsonBody,
) -> Result<Json<PayableView>, Problem> {
    let mut fields = Fields::of(&body);
    let units = fields.required("units", unsigned(1..=UNITS_MAX)).and_then(Units::new);
    let disagio = fields.optional("disagio", money);
    let value_date = fields.optional("value_date", date).unwrap_or_else(|| caller.now.value_date());
    let units = fields.finish_with(|| units)?;
    let viewer = Viewer::Platform(caller.organisation_id);
    let (product_id, campaign_id) = (ProductId::new(product_id), CampaignId::new(campaign_id));
    let offer = move |archive: &store::Reader| {
        let campaign = archive.campaign(viewer, product_id, campaign_id)?;
        let product = archive.product(viewer, product_id)?;
        Ok(campaign.zip(product))
    };
    let (campaign, product) = counter.find(offer).await?;
    let quote = explained(&payable_inputs(&campaign, &product, units, disagio, value_date));
    let quote = quote.map_err(|broken| problem_of(&Refused::from(broken)))?;
    Ok(Json(PayableView::of(&quote, &product.terms.interest, true)))
}

async fn payable_of(counter: &Counter, viewer: Viewer, id: InvestmentId, now: Instant) -> Result<Json<PayableView>, Problem> {
    let read = move |archive: &store::Reader| {
        let Some(investment) = archive.investment(viewer, id)? else { return Ok(None) };
        let offer = archive.offers(&BTreeSet::from([investment.campaign_id]))?.into_values().next();
        Ok(offer.map(|(campaign, product)| (investment, campaign, product)))
    };
    let (investment, campaign, product) = counter.find(read).await?;
    let explained = investment.payable_on(&campaign, &product, investment.value_date(now));
    let explained = explained.map_err(|broken| problem_of(&Refused::from(broken)))?;
    if let Err(fault) = investment.compare_payment(&campaign, &product) {
        tracing::error!(investment = %investment.id, %fault, "a payment does not follow from its terms");
        return Err(Problem::internal());
    }
    let provisional = investment.payment_is_provisional();
    Ok(Json(PayableView::of(&explained, &product.terms.interest, provisional)))
}

impl Counter {
    /// Shows investments with the amounts of today, where they depend on the day.
    ///
    /// # Errors
    /// As [`Counter::read`].
    pub async fn of_today(&self, page: Page<Investment>, now: Instant) -> Result<Page<Investment>, Problem> {
        let running = page.rows.iter().filter(|investment| investment.interest_is_running());
        let ids: BTreeSet<CampaignId> = running.map(|investment| investment.campaign_id).collect();
        if ids.is_empty() {
            return Ok(page);
        }
        let offers = self.read(move |archive| archive.offers(&ids)).await?;
        let Page { count, rows, has_previous, has_next } = page;
        let rows = rows.into_iter().map(|investment| match offers.get(&investment.campaign_id) {
            Some((campaign, product)) => investment.of_today(campaign, product, now),
            None => investment,
        });
        Ok(Page { count, rows: rows.collect(), has_previous, has_next })
    }

    /// Shows one investment with the amounts of today.
    ///
    /// # Errors
    /// As [`Counter::read`].
    pub async fn one_of_today(&self, investment: Investment, now: Instant) -> Result<Investment, Problem> {
        if !investment.interest_is_running() {
            return Ok(investment);
        }
        let ids = BTreeSet::from([investment.campaign_id]);
        let offer = self.read(move |archive| archive.offers(&ids)).await?.into_values().next();
        Ok(match offer {
            Some((campaign, product)) => investment.of_today(&campaign, &product, now),
            None => investment,
        })
    }
}

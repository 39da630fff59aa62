//! Investments: creating, listing, reading, stating facts, cancelling.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ids::{CampaignId, DocumentId, InvestmentId, InvestorId, WalletId};
use domain::instant::Instant;
use domain::units::{UNITS_MAX, Units};
use store::queries::Viewer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::signed_documents::{NewSignedDocument, document_type};
use crate::http::Counter;
use crate::http::act::{BodyIdentity, Intake};
use crate::http::body::{Faults, FieldFault, Fields, Json as Body, JsonBody, list, timestamp, unsigned, uuid};
use crate::http::caller::{Caller, DistributorInvestmentsRead, DistributorInvestmentsWrite};
use crate::http::errors::{ActErrors, DryRunParams, KeyParams, OptionalKeyParams, PageParams, ReadErrors};
use crate::http::investment_filter::{FilterParams, read_filter};
use crate::http::investment_view::{InvestmentView, investment_position};
use crate::http::page::Page;
use crate::http::problem::Problem;
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};
use crate::http::view::{MoneyView, money};
use crate::operations::investment::{AbortInvestment, CreateInvestment, DocumentReference, StateFacts, StatedFacts};

/// Signed documents in one creating call at most.
const SIGNED_DOCUMENTS_MAX: usize = 20;

/// What creates an investment.
#[derive(Debug, ToSchema)]
pub struct NewInvestment {
    /// The investor it is created for.
    pub investor_id: Uuid,
    /// The campaign the investor invests in.
    pub campaign_id: Uuid,
    /// How many units.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, example = 10)]
    pub units: u64,
    /// When the investor gave the binding confirmation.
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    pub signed_at: String,
    /// Documents that the investor signed.
    #[schema(nullable = false, max_items = 20)]
    pub signed_documents: Option<Vec<NewSignedDocument>>,
    /// The issuer's acceptance, where it was given already. Both signed document types must be in this call then.
    #[schema(format = DateTime)]
    pub accepted_at: Option<String>,
    /// The payment; needs `accepted_at`.
    #[schema(format = DateTime)]
    pub paid_at: Option<String>,
    /// The wallet it settles to, one of the investor's.
    #[schema(nullable = false)]
    pub wallet: Option<Uuid>,
    /// A discount for this investment.
    #[schema(nullable = false)]
    pub disagio: Option<MoneyView>,
}

/// Facts stated about an investment. They are taken together or not at all.
#[derive(Debug, ToSchema)]
pub struct InvestmentChange {
    /// The issuer's acceptance. It is final: another value, or null, is refused.
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    pub accepted_at: Option<String>,
    /// The payment; needs `accepted_at`. It is final too.
    #[schema(format = DateTime)]
    pub paid_at: Option<String>,
    /// The wallet it settles to, one of the investor's; can be changed until a credit is triggered.
    #[schema(nullable = false)]
    pub wallet: Option<Uuid>,
    /// A discount; can be set until acceptance.
    #[schema(nullable = false)]
    pub disagio: Option<MoneyView>,
}

/// The investor's wish to end an investment.
#[derive(Debug, ToSchema)]
pub struct NewCancellation {
    /// When the investor asked.
    #[schema(format = DateTime, example = "2025-03-12T07:14:13.630308+00:00")]
    pub cancellation_date: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new()
        .routes(routes!(list_investments, create_investment))
        .routes(routes!(read_investment, change_investment))
        .routes(routes!(cancel_investment))
}

/// List the platform's investments.
#[utoipa::path(get, path = "/api/distributor/v2/investments/", tag = "Distributor: investments",
    params(FilterParams, PageParams),
    responses((status = 200, description = "A page of investments.", body = Page<InvestmentView>), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn list_investments(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    mut asked: ListAsked,
) -> Result<Json<Page<InvestmentView>>, Problem> {
    let filter = read_filter(&mut asked.query);
    let page = asked.page(&counter, caller.organisation_id, "distributor/investments")?;
    let (viewer, request) = (Viewer::Platform(caller.organisation_id), page.0.rows());
    let rows = counter.read(move |archive| archive.investments(viewer, &filter, request)).await?;
    let rows = counter.of_today(rows, caller.now).await?;
    Ok(shown_page(&counter, &page, rows, investment_position, InvestmentView::of_distributor))
}

/// Create an investment in a campaign.
#[utoipa::path(post, path = "/api/distributor/v2/investments/", tag = "Distributor: investments",
    params(KeyParams, DryRunParams), request_body = NewInvestment,
    responses((status = 201, description = "The investment.", body = InvestmentView),
        (status = 200, description = "A dry run: what would come of it.", body = InvestmentView), ActErrors),
    security(("oauth2" = ["investments:write"])))]
async fn create_investment(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsWrite>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let operation = read_new_investment(&body, &caller)?;
    let identity = BodyIdentity::Json(&body);
    intake.act(&counter, &caller, operation, identity, StatusCode::CREATED, InvestmentView::of_distributor).await
}

/// Read an investment.
#[utoipa::path(get, path = "/api/distributor/v2/investments/{investment_id}/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path)),
    responses((status = 200, description = "The investment.", body = InvestmentView), ReadErrors),
    security(("oauth2" = ["investments:read"])))]
async fn read_investment(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsRead>,
    Ids([investment_id]): Ids<1>,
    _: NoQuery,
) -> Result<Json<InvestmentView>, Problem> {
    let viewer = Viewer::Platform(caller.organisation_id);
    let investment = counter.find(move |archive| archive.investment(viewer, InvestmentId::new(investment_id))).await?;
    Ok(Json(InvestmentView::of_distributor(&counter.one_of_today(investment, caller.now).await?)))
}

/// State facts about an investment: accepted, paid, wallet, disagio.
#[utoipa::path(patch, path = "/api/distributor/v2/investments/{investment_id}/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path), OptionalKeyParams, DryRunParams), request_body = InvestmentChange,
    responses((status = 200, description = "The investment.", body = InvestmentView), ActErrors),
    security(("oauth2" = ["investments:write"])))]
async fn change_investment(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsWrite>,
    Ids([investment_id]): Ids<1>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let operation = StateFacts {
        platform_id: caller.organisation_id,
        investment_id: InvestmentId::new(investment_id),
        facts: read_change(&body, caller.now)?,
    };
    let identity = BodyIdentity::Json(&body);
    intake.act(&counter, &caller, operation, identity, StatusCode::OK, InvestmentView::of_distributor).await
}

/// Cancel an investment for the investor, before acceptance.
#[utoipa::path(post, path = "/api/distributor/v2/investments/{investment_id}/cancellation/", tag = "Distributor: investments",
    params(("investment_id" = Uuid, Path), KeyParams, DryRunParams), request_body = NewCancellation,
    responses((status = 200, description = "The investment, `ABORTED`.", body = InvestmentView), ActErrors),
    security(("oauth2" = ["investments:write"])))]
async fn cancel_investment(
    State(counter): State<Arc<Counter>>,
    caller: Caller<DistributorInvestmentsWrite>,
    Ids([investment_id]): Ids<1>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body);
    let cancellation_date = fields.required("cancellation_date", stated(caller.now));
    let cancellation_date = fields.finish_with(|| cancellation_date)?;
    let operation = AbortInvestment {
        platform_id: caller.organisation_id,
        investment_id: InvestmentId::new(investment_id),
        cancellation_date,
    };
    let identity = BodyIdentity::Json(&body);
    intake.act(&counter, &caller, operation, identity, StatusCode::OK, InvestmentView::of_distributor).await
}

fn read_new_investment(body: &Body, caller: &Caller<DistributorInvestmentsWrite>) -> Result<CreateInvestment, Problem> {
    let mut fields = Fields::of(body);
    let investor_id = fields.required("investor_id", uuid).map(InvestorId::new);
    let campaign_id = fields.required("campaign_id", uuid).map(CampaignId::new);
    let units = fields.required("units", unsigned(1..=UNITS_MAX)).and_then(Units::new);
    let signed_at = fields.required("signed_at", stated(caller.now));
    let documents = fields.optional("signed_documents", list(SIGNED_DOCUMENTS_MAX, read_reference));
    let facts = read_facts(&mut fields, caller.now);
    let operation = fields.finish_with(|| {
        Some(CreateInvestment {
            platform_id: caller.organisation_id,
            investor_id: investor_id?,
            campaign_id: campaign_id?,
            units: units?,
            signed_at: signed_at?,
            signed_documents: documents.unwrap_or_default(),
            facts,
        })
    });
    Ok(operation?)
}

fn read_change(body: &Body, now: Instant) -> Result<StatedFacts, Problem> {
    let mut fields = Fields::of(body);
    let facts = read_facts(&mut fields, now);
    fields.finish()?;
    Ok(facts)
}

fn read_facts(fields: &mut Fields<'_>, now: Instant) -> StatedFacts {
    let accepted_at = fields.nullable("accepted_at", stated(now));
    let paid_at = fields.nullable("paid_at", stated(now));
    StatedFacts {
        disagio: fields.optional("disagio", money),
        accepted_at: accepted_at.flatten(),
        paid_at: paid_at.flatten(),
        is_accepted_at_null: accepted_at == Some(None),
        is_paid_at_null: paid_at == Some(None),
        wallet_id: fields.optional("wallet", uuid).map(WalletId::new),
    }
}

/// Reads a signed document's reference.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_reference(body: &Body) -> Result<DocumentReference, Faults> {
    let mut fields = Fields::of(body);
    let document_type = fields.required("document_type", document_type());
    let document_id = fields.required("document_id", uuid).map(DocumentId::new);
    fields.finish_with(|| Some(DocumentReference { document_type: document_type?, document_id: document_id? }))
}

/// A reader of dates that somebody states: at most five minutes ahead of the server's clock.
fn stated(now: Instant) -> impl Fn(&Body) -> Result<Instant, FieldFault> {
    move |json| {
        let at = timestamp(json)?;
        if at.is_too_far_ahead_of(now) {
            return Err(FieldFault::invalid("must not be in the future"));
        }
        Ok(at)
    }
}

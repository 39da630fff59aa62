//! Campaigns: creating, listing, reading, switching on and off.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::campaign::{Campaign, CampaignTerms, Rule};
use domain::country::Country;
use domain::ids::{CampaignId, OrganisationId, ProductId};
use domain::money::{Money, Percent, Price};
use domain::text::Name;
use domain::units::{UNITS_MAX, Units};
use store::queries::Viewer;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Counter;
use crate::http::act::{BodyIdentity, Intake};
use crate::http::body::{FieldFault, Fields, Json as Body, JsonBody, boolean, one_of, parsed, unsigned, uuid};
use crate::http::caller::{Caller, IssuerProductsRead, IssuerProductsWrite};
use crate::http::campaign_view::{CampaignView, campaign_position};
use crate::http::errors::{ActErrors, DryRunParams, KeyParams, OptionalKeyParams, PageParams, ReadErrors};
use crate::http::page::Page;
use crate::http::problem::{FieldCode, FieldError, Problem};
use crate::http::reading::{Ids, ListAsked, NoQuery, shown_page};
use crate::http::view::{MoneyView, money, price};
use crate::operations::campaign::{CreateCampaign, SwitchCampaign};

/// Fields of a campaign that can never be changed, in the order of the guide.
const IMMUTABLE_FIELDS: [&str; 12] = [
    "distribution_platform_id",
    "name",
    "allocation",
    "price_per_token",
    "min_number_of_tokens",
    "max_number_of_tokens",
    "legal_persons_allowed",
    "natural_persons_allowed",
    "country",
    "rule_type",
    "minimum_investment_amount",
    "agio_percent",
];

/// What creates a campaign.
#[derive(Debug, ToSchema)]
pub struct NewCampaign {
    /// A platform where the product is listed.
    pub distribution_platform_id: Uuid,
    /// Its name.
    #[schema(example = "Spring offer", min_length = 1, max_length = 255)]
    pub name: String,
    /// Units that may be sold.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, example = 10000)]
    pub allocation: u64,
    /// The purchase price of one unit.
    pub price_per_token: MoneyView,
    /// The fewest units of one investment.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, example = 1)]
    pub min_number_of_tokens: u64,
    /// The most units of one investment.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, example = 100)]
    pub max_number_of_tokens: u64,
    /// Whether legal persons may invest.
    pub legal_persons_allowed: bool,
    /// Whether natural persons may invest.
    pub natural_persons_allowed: bool,
    /// ISO 3166-1 alpha-3: where the offer is made.
    #[schema(example = "DEU", pattern = "^[A-Z]{3}$")]
    pub country: String,
    /// `public_offering`, or `minimum_investment_amount` together with the field of that name.
    #[schema(example = "public_offering", pattern = "^(public_offering|minimum_investment_amount)$")]
    pub rule_type: String,
    /// Investments must amount to at least this (units × price). Only with that rule type.
    #[schema(nullable = false)]
    pub minimum_investment_amount: Option<MoneyView>,
    /// Percent of the investment amount, a decimal; the product's where it is not stated.
    #[schema(nullable = false, example = "2.5", pattern = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$")]
    pub agio_percent: Option<String>,
    /// Whether investments can be created at once.
    pub is_campaign_active: bool,
}

/// The one thing about a campaign that can be changed.
#[derive(Debug, ToSchema)]
pub struct CampaignChange {
    /// Whether investments can be created.
    #[schema(nullable = false)]
    pub is_campaign_active: Option<bool>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Arc<Counter>> {
    OpenApiRouter::new().routes(routes!(list_campaigns, create_campaign)).routes(routes!(read_campaign, change_campaign))
}

/// List the campaigns of a product.
#[utoipa::path(get, path = "/api/issuer/v2/products/{product_id}/campaigns/", tag = "Issuer: campaigns",
    params(("product_id" = Uuid, Path), PageParams),
    responses((status = 200, description = "A page of campaigns.", body = Page<CampaignView>), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn list_campaigns(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    Ids([product_id]): Ids<1>,
    asked: ListAsked,
) -> Result<Json<Page<CampaignView>>, Problem> {
    let page = asked.page(&counter, caller.organisation_id, &format!("issuer/products/{product_id}/campaigns"))?;
    let (viewer, request) = (Viewer::Issuer(caller.organisation_id), page.0.rows());
    let rows = counter.find(move |archive| archive.campaigns(viewer, ProductId::new(product_id), request)).await?;
    Ok(shown_page(&counter, &page, rows, campaign_position, |campaign| CampaignView::from(campaign)))
}

/// Create a campaign for a distribution platform.
#[utoipa::path(post, path = "/api/issuer/v2/products/{product_id}/campaigns/", tag = "Issuer: campaigns",
    params(("product_id" = Uuid, Path), KeyParams, DryRunParams), request_body = NewCampaign,
    responses((status = 201, description = "The campaign.", body = CampaignView),
        (status = 200, description = "A dry run: what would come of it.", body = CampaignView), ActErrors),
    security(("oauth2" = ["products:write"])))]
async fn create_campaign(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsWrite>,
    Ids([product_id]): Ids<1>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let operation = read_new_campaign(&body, caller.organisation_id, ProductId::new(product_id))?;
    let show: fn(&Campaign) -> CampaignView = |campaign| CampaignView::from(campaign);
    intake.act(&counter, &caller, operation, BodyIdentity::Json(&body), StatusCode::CREATED, show).await
}

/// Read a campaign.
#[utoipa::path(get, path = "/api/issuer/v2/products/{product_id}/campaigns/{campaign_id}/", tag = "Issuer: campaigns",
    params(("product_id" = Uuid, Path), ("campaign_id" = Uuid, Path)),
    responses((status = 200, description = "The campaign.", body = CampaignView), ReadErrors),
    security(("oauth2" = ["products:read"])))]
async fn read_campaign(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsRead>,
    Ids([product_id, campaign_id]): Ids<2>,
    _: NoQuery,
) -> Result<Json<CampaignView>, Problem> {
    let viewer = Viewer::Issuer(caller.organisation_id);
    let (product_id, campaign_id) = (ProductId::new(product_id), CampaignId::new(campaign_id));
    let campaign = counter.find(move |archive| archive.campaign(viewer, product_id, campaign_id)).await?;
    Ok(Json(CampaignView::from(&campaign)))
}

/// Switch a campaign on or off. Nothing else about it can be changed.
#[utoipa::path(patch, path = "/api/issuer/v2/products/{product_id}/campaigns/{campaign_id}/", tag = "Issuer: campaigns",
    params(("product_id" = Uuid, Path), ("campaign_id" = Uuid, Path), OptionalKeyParams, DryRunParams),
    request_body = CampaignChange,
    responses((status = 200, description = "The campaign.", body = CampaignView), ActErrors),
    security(("oauth2" = ["products:write"])))]
async fn change_campaign(
    State(counter): State<Arc<Counter>>,
    caller: Caller<IssuerProductsWrite>,
    Ids([product_id, campaign_id]): Ids<2>,
    intake: Intake,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of(&body);
    let is_active = fields.optional("is_campaign_active", boolean);
    let immutable_fields = stated_immutable_fields(&mut fields);
    fields.finish()?;
    let operation = SwitchCampaign {
        organisation_id: caller.organisation_id,
        product_id: ProductId::new(product_id),
        campaign_id: CampaignId::new(campaign_id),
        immutable_fields,
        is_active,
    };
    let show: fn(&Campaign) -> CampaignView = |campaign| CampaignView::from(campaign);
    intake.act(&counter, &caller, operation, BodyIdentity::Json(&body), StatusCode::OK, show).await
}

/// Which fixed fields a change names. Their values do not matter: naming them is refused.
fn stated_immutable_fields(fields: &mut Fields<'_>) -> Vec<String> {
    let anything = |_: &Body| Ok::<(), FieldFault>(());
    let stated = IMMUTABLE_FIELDS.into_iter().filter(|name| fields.optional(name, anything).is_some());
    stated.map(str::to_owned).collect()
}

#[derive(Clone, Copy)]
enum RuleType {
    PublicOffering,
    MinimumInvestmentAmount,
}

fn read_new_campaign(body: &Body, organisation_id: OrganisationId, product_id: ProductId) -> Result<CreateCampaign, Problem> {
    let units = |json: &Body| unsigned(1..=UNITS_MAX)(json);
    let mut fields = Fields::of(body);
    let platform_id = fields.required("distribution_platform_id", uuid).map(OrganisationId::new);
    let name = fields.required("name", parsed(Name::parse));
    let allocation = fields.required("allocation", units).and_then(Units::new);
    let price_per_token = fields.required("price_per_token", price);
    let min_number_of_tokens = fields.required("min_number_of_tokens", units).and_then(Units::new);
    let max_number_of_tokens = fields.required("max_number_of_tokens", units).and_then(Units::new);
    let legal_persons_allowed = fields.required("legal_persons_allowed", boolean);
    let natural_persons_allowed = fields.required("natural_persons_allowed", boolean);
    let country = fields.required("country", country);
    let rule = read_rule(&mut fields, price_per_token);
    let agio_percent = fields.optional("agio_percent", parsed(Percent::parse));
    let is_active = fields.required("is_campaign_active", boolean);
    if min_number_of_tokens.zip(max_number_of_tokens).is_some_and(|(min, max)| min > max) {
        let fault = FieldFault::new(FieldCode::OutOfRange, "must not be less than min_number_of_tokens");
        fields.fault("max_number_of_tokens", fault);
    }
    let operation = fields.finish_with(|| {
        let terms = CampaignTerms {
            platform_id: platform_id?,
            name: name?,
            allocation: allocation?,
            price_per_token: price_per_token?,
            min_number_of_tokens: min_number_of_tokens?,
            max_number_of_tokens: max_number_of_tokens?,
            legal_persons_allowed: legal_persons_allowed?,
            natural_persons_allowed: natural_persons_allowed?,
            country: country?,
            rule: rule?,
            agio_percent: agio_percent.unwrap_or(Percent::ZERO),
        };
        Some(CreateCampaign { organisation_id, product_id, terms, agio_percent, is_active: is_active? })
    });
    Ok(operation?)
}

/// The rule and its amount: required with that rule type, refused otherwise, in the price's currency.
fn read_rule(fields: &mut Fields<'_>, price_per_token: Option<Price>) -> Option<Rule> {
    let choices =
        [("public_offering", RuleType::PublicOffering), ("minimum_investment_amount", RuleType::MinimumInvestmentAmount)];
    let rule_type = fields.required("rule_type", one_of(&choices))?;
    let minimum: Option<Money> = match rule_type {
        RuleType::PublicOffering => {
            if fields.has("minimum_investment_amount") {
                let _ = fields.optional("minimum_investment_amount", money);
                fields.fault(
                    "minimum_investment_amount",
                    FieldFault::invalid("belongs to the rule type minimum_investment_amount"),
                );
            }
            return Some(Rule::PublicOffering);
        }
        RuleType::MinimumInvestmentAmount => fields.required("minimum_investment_amount", money),
    };
    let minimum = minimum?;
    if price_per_token.is_some_and(|price| price.currency() != minimum.currency()) {
        let message = "must be the currency of price_per_token";
        fields.fault("minimum_investment_amount", FieldError::new("/currency", FieldCode::InvalidValue, message));
    }
    Some(Rule::MinimumInvestmentAmount(minimum))
}

fn country(json: &Body) -> Result<Country, FieldFault> {
    let parse = |code: &str| Country::parse(code).ok_or("must be an ISO 3166-1 alpha-3 code such as DEU");
    parsed(parse)(json)
}

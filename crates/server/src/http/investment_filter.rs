//! Filters of the lists of investments.

use domain::ids::{CampaignId, InvestorId, ProductId, WalletId};
use domain::investment::Status;
use store::queries::InvestmentFilter;
use utoipa::IntoParams;
use uuid::Uuid;

use super::body::FieldFault;
use super::query::{Query, uuid};

/// The filters.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterParams {
    /// A status code; the older spelling `ABORTION` means `ABORTED`.
    #[param(example = "PAID")]
    pub status: Option<String>,
    /// Investments of one campaign.
    pub campaign_id: Option<Uuid>,
    /// Investments of one investor.
    pub investor_id: Option<Uuid>,
    /// Investments in one product.
    pub product_id: Option<Uuid>,
    /// Investments that settle to one wallet.
    pub wallet: Option<Uuid>,
}

/// Reads the filters; faults are kept in the query.
pub fn read_filter(query: &mut Query) -> InvestmentFilter {
    InvestmentFilter {
        status: query.optional("status", |code| {
            let code = if code == "ABORTION" { "ABORTED" } else { code };
            Status::from_code(code).ok_or_else(|| FieldFault::invalid("is not a status code"))
        }),
        campaign_id: query.optional("campaign_id", uuid).map(CampaignId::new),
        investor_id: query.optional("investor_id", uuid).map(InvestorId::new),
        product_id: query.optional("product_id", uuid).map(ProductId::new),
        wallet_id: query.optional("wallet", uuid).map(WalletId::new),
    }
}

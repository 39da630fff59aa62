//! Investments, what was signed for them, and their credits.

use std::collections::HashMap;

use domain::credit::Credit;
use domain::document::SignedDocument;
use domain::ids::{CreditId, InvestmentId, OrganisationId};
use domain::investment::Investment;
use uuid::Uuid;

use super::Reader;
use super::condition::{Condition, investments_of};
use super::merged::{Merged, campaigns_of};
use super::page::{Index, List};
use super::snapshot::Snapshot;
use crate::error::StoreError;
use crate::queries::{InvestmentFilter, Page, PageRequest, Viewer};
use crate::rows::Decode as _;

/// Investments whose signed documents are read at once.
const INVESTMENTS_AT_ONCE_MAX: usize = super::snapshot::IDS_MAX;

impl Reader {
    /// The investments a viewer sees, with their signed documents: a platform its own, an issuer-side organisation
    /// those in its products.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investments(
        &self,
        viewer: Viewer,
        filter: &InvestmentFilter,
        request: PageRequest,
    ) -> Result<Page<Investment>, StoreError> {
        self.run(|snapshot| {
            let mut page = page(snapshot, viewer, filter, request)?;
            read_signed_documents(snapshot, &mut page.rows)?;
            Ok(page)
        })
    }

    /// An investment the viewer sees, with its signed documents.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investment(&self, viewer: Viewer, id: InvestmentId) -> Result<Option<Investment>, StoreError> {
        self.run_at_once(|snapshot| {
            let list = single(viewer, id);
            // What was signed finds nothing where the investment is not found.
            let of_list = list.query_below::<SignedDocument, Investment>(snapshot, "investment_id", "position");
            let queries = [list.single_query::<Investment>(snapshot), of_list];
            let (mut found, mut documents): (Option<Investment>, Vec<SignedDocument>) = (None, Vec::new());
            snapshot.each_of(&queries, &mut |place, row| {
                if place == 0 {
                    found = Some(Investment::read(&row)?);
                } else {
                    documents.push(SignedDocument::read(&row)?);
                }
                Ok(())
            })?;
            Ok(found.map(|investment| Investment { signed_documents: documents, ..investment }))
        })
    }

    /// What was signed for an investment; `None` where the viewer does not see the investment.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn signed_documents(
        &self,
        viewer: Viewer,
        id: InvestmentId,
        request: PageRequest,
    ) -> Result<Option<Page<SignedDocument>>, StoreError> {
        self.run(|snapshot| {
            if !is_visible(snapshot, viewer, id)? {
                return Ok(None);
            }
            List::of(Condition::with_id("investment_id = ?", id.uuid())).page(snapshot, request).map(Some)
        })
    }

    /// The credits of one of a platform's investments; `None` where it is not the platform's.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn credits(
        &self,
        platform_id: OrganisationId,
        id: InvestmentId,
        request: PageRequest,
    ) -> Result<Option<Page<Credit>>, StoreError> {
        self.run(|snapshot| {
            if !is_visible(snapshot, Viewer::Platform(platform_id), id)? {
                return Ok(None);
            }
            let condition = Condition::with_id("investment_id = ?", id.uuid());
            List { index: Index::Named("credit_by_investment"), condition }.page(snapshot, request).map(Some)
        })
    }

    /// A credit of one of a platform's investments.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn credit(
        &self,
        platform_id: OrganisationId,
        investment_id: InvestmentId,
        id: CreditId,
    ) -> Result<Option<Credit>, StoreError> {
        let condition = Condition::with_id("id = ?", id.uuid())
            .and_id("investment_id = ?", investment_id.uuid())
            .and_id("platform_id = ?", platform_id.uuid());
        self.run_at_once(|snapshot| List::of(condition).single(snapshot))
    }
}

/// Puts the signed documents into investments, in order of attachment.
pub(super) fn read_signed_documents(snapshot: &Snapshot<'_>, investments: &mut [Investment]) -> Result<(), StoreError> {
    for investments in investments.chunks_mut(INVESTMENTS_AT_ONCE_MAX) {
        let ids: Vec<Uuid> = investments.iter().map(|investment| investment.id.uuid()).collect();
        let mut signed: HashMap<InvestmentId, Vec<SignedDocument>> = HashMap::new();
        for document in snapshot.rows_of::<SignedDocument>("investment_id", &ids, "investment_id, position")? {
            signed.entry(document.investment_id).or_default().push(document);
        }
        for investment in investments {
            investment.signed_documents = signed.remove(&investment.id).unwrap_or_default();
        }
    }
    Ok(())
}

fn page(
    snapshot: &Snapshot<'_>,
    viewer: Viewer,
    filter: &InvestmentFilter,
    request: PageRequest,
) -> Result<Page<Investment>, StoreError> {
    let list = filtered(viewer, filter);
    let Some(counted) = counted(viewer, filter) else {
        // What one investor holds is counted by looking: a person's positions, not a register's.
        return list.page::<Investment>(snapshot, request);
    };
    if !lies_in_several_campaigns(filter) {
        let count = sum_of_counts(snapshot, &counted)?;
        return list.page_of(snapshot, request, count);
    }
    let (campaigns, count) = campaigns_of(snapshot, &counted)?;
    Merged { campaigns, status: filter.status }.page(snapshot, request, count)
}

/// Whether a filter takes what no index has together: a few of all the investments of a viewer, which may lie far apart.
const fn lies_in_several_campaigns(filter: &InvestmentFilter) -> bool {
    filter.campaign_id.is_none() && (filter.status.is_some() || filter.product_id.is_some())
}

/// The list a filter leaves, read by the index that leaves the fewest rows to look at.
fn filtered(viewer: Viewer, filter: &InvestmentFilter) -> List {
    let InvestmentFilter { status, campaign_id, investor_id, product_id, wallet_id } = *filter;
    let List { mut index, mut condition } = held(viewer, filter);
    if let (Some(_), Some(investor)) = (wallet_id, investor_id) {
        condition = condition.and_id("investor_id = ?", investor.uuid());
    }
    if let Some(status) = status {
        condition = condition.and("status = ?", [status.code().into()]);
    }
    if let Some(product) = product_id {
        condition = condition.and_id("product_id = ?", product.uuid());
    }
    if let Some(campaign) = campaign_id {
        condition = condition.and_id("campaign_id = ?", campaign.uuid());
        if wallet_id.is_none() && investor_id.is_none() {
            index = Index::Named(if status.is_some() { "investment_by_campaign_and_status" } else { "investment_by_campaign" });
        }
    }
    List { index, condition }
}

/// All that a viewer sees, or what one investor or wallet holds of it. An investor and a wallet are one platform's, so for a
/// platform the owner is asked of them: their positions are then counted in the index alone, however many there are.
fn held(viewer: Viewer, filter: &InvestmentFilter) -> List {
    const OWN_WALLET: &str = "wallet_id = (SELECT id FROM wallet WHERE id = ? AND platform_id = ?)";
    const OWN_INVESTOR: &str = "investor_id = (SELECT id FROM investor WHERE id = ? AND platform_id = ?)";
    let (index, condition) = match (viewer, filter.wallet_id, filter.investor_id) {
        (Viewer::Platform(platform), Some(wallet), _) => {
            let own = [wallet.uuid().into(), platform.uuid().into()];
            ("investment_by_wallet", Condition::with_all(OWN_WALLET, own))
        }
        (Viewer::Platform(platform), None, Some(investor)) => {
            let own = [investor.uuid().into(), platform.uuid().into()];
            ("investment_by_investor", Condition::with_all(OWN_INVESTOR, own))
        }
        (Viewer::Issuer(_), Some(wallet), _) => {
            ("investment_by_wallet", investments_of(viewer).and_id("wallet_id = ?", wallet.uuid()))
        }
        (Viewer::Issuer(_), None, Some(investor)) => {
            ("investment_by_investor", investments_of(viewer).and_id("investor_id = ?", investor.uuid()))
        }
        (Viewer::Platform(_), None, None) => ("investment_by_platform", investments_of(viewer)),
        (Viewer::Issuer(_), None, None) => ("investment_by_issuer", investments_of(viewer)),
    };
    List { index: Index::Named(index), condition }
}

/// The rows of `investment_count` that add up to the list's length; `None` where the filter asks for more than they know.
fn counted(viewer: Viewer, filter: &InvestmentFilter) -> Option<Condition> {
    let InvestmentFilter { status, campaign_id, investor_id, product_id, wallet_id } = *filter;
    if investor_id.is_some() || wallet_id.is_some() {
        return None;
    }
    let mut condition = match viewer {
        Viewer::Platform(platform) => Condition::with_id("platform_id = ?", platform.uuid()),
        Viewer::Issuer(organisation) => {
            Condition::with_id("product_id IN (SELECT id FROM product WHERE organisation_id = ?)", organisation.uuid())
        }
    };
    if let Some(status) = status {
        condition = condition.and("status = ?", [status.code().into()]);
    }
    if let Some(product) = product_id {
        condition = condition.and_id("product_id = ?", product.uuid());
    }
    if let Some(campaign) = campaign_id {
        condition = condition.and_id("campaign_id = ?", campaign.uuid());
    }
    Some(condition)
}

fn sum_of_counts(snapshot: &Snapshot<'_>, condition: &Condition) -> Result<u64, StoreError> {
    let sql = format!("SELECT CAST(coalesce(sum(rows), 0) AS bigint) FROM investment_count WHERE {}", condition.text());
    let sum: Option<i64> = snapshot.value("investment_count", &sql, condition.parameters())?;
    Ok(sum.and_then(|sum| u64::try_from(sum).ok()).unwrap_or(0))
}

/// An investment by its id, if the viewer sees it. The index of the id is the only one that finds a single row.
fn single(viewer: Viewer, id: InvestmentId) -> List {
    let condition = investments_of(viewer).and_id("id = ?", id.uuid());
    List { index: Index::Key, condition }
}

fn is_visible(snapshot: &Snapshot<'_>, viewer: Viewer, id: InvestmentId) -> Result<bool, StoreError> {
    Ok(single(viewer, id).count::<Investment>(snapshot)? > 0)
}

#[cfg(test)]
mod tests {
    use domain::instant::Instant;
    use domain::investment::Status;
    use uuid::Uuid;

    use super::*;
    use crate::queries::Position;

    /// Every choice of filters.
    fn filters() -> Vec<InvestmentFilter> {
        let id = Uuid::from_u128(1);
        (0..32)
            .map(|choice: u32| InvestmentFilter {
                status: (choice & 1 != 0).then_some(Status::Paid),
                campaign_id: (choice & 2 != 0).then(|| id.into()),
                investor_id: (choice & 4 != 0).then(|| id.into()),
                product_id: (choice & 8 != 0).then(|| id.into()),
                wallet_id: (choice & 16 != 0).then(|| id.into()),
            })
            .collect()
    }

    /// The steps of every list of investments that clients can ask for: from its start, after and before a position.
    fn plans(reader: &Reader) -> Vec<(String, Vec<String>)> {
        let position = Position { created_at: Instant::from_micros(1), id: Uuid::from_u128(2) };
        let mut plans = Vec::new();
        for viewer in [Viewer::Platform(Uuid::from_u128(3).into()), Viewer::Issuer(Uuid::from_u128(3).into())] {
            for filter in filters() {
                for (from, is_forwards) in [(None, true), (Some(position), true), (Some(position), false)] {
                    let plan = |snapshot: &Snapshot<'_>| {
                        Ok(if counted(viewer, &filter).is_some() && lies_in_several_campaigns(&filter) {
                            let campaigns = vec![Uuid::from_u128(1)];
                            Merged { campaigns, status: filter.status }.plan(snapshot, from, is_forwards)
                        } else {
                            filtered(viewer, &filter).plan::<Investment>(snapshot, from, is_forwards)
                        })
                    };
                    let name = format!("{viewer:?} {filter:?} from {from:?}");
                    plans.push((name, reader.run(plan).unwrap()));
                }
            }
        }
        plans
    }

    #[test]
    fn no_list_of_investments_reads_the_table_from_end_to_end() {
        let store = crate::tests::Store::with_market();
        for (name, plan) in plans(&store.reader) {
            let scanned = plan.iter().any(|step| step.contains("Seq Scan") || step.contains("SCAN investment"));
            assert!(!scanned, "{name}: {plan:?}");
            assert!(plan.iter().any(|step| step.contains("investment_by_")), "{name}: {plan:?}");
        }
    }

    /// However many positions an investor or a wallet has, no row is looked at to count them.
    #[test]
    fn what_a_platforms_investor_or_wallet_holds_is_counted_in_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let reader = crate::sqlite::Database::open(folder.path()).unwrap().reader(1).unwrap();
        let platform = Viewer::Platform(Uuid::from_u128(3).into());
        for filter in [
            InvestmentFilter { investor_id: Some(Uuid::from_u128(4).into()), ..InvestmentFilter::default() },
            InvestmentFilter { wallet_id: Some(Uuid::from_u128(5).into()), ..InvestmentFilter::default() },
        ] {
            let List { index, condition } = filtered(platform, &filter);
            let Index::Named(index) = index else { panic!("{filter:?} has no index") };
            let sql = format!("SELECT count(*) FROM investment INDEXED BY {index} WHERE {}", condition.text());
            let plan = reader.run(|snapshot| Ok(super::super::page::explain(snapshot, &sql, condition.parameters()))).unwrap();
            assert!(plan.iter().any(|step| step.contains("COVERING INDEX")), "{filter:?}: {plan:?}");
        }
    }

    #[test]
    fn every_list_of_investments_is_walked_along_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let reader = crate::sqlite::Database::open(folder.path()).unwrap().reader(1).unwrap();
        for (name, plan) in plans(&reader) {
            let bad = plan.iter().any(|step| step.contains("TEMP B-TREE") || step.contains("SCAN investment"));
            assert!(!bad, "{name}: {plan:?}");
            let walks: Vec<_> = plan.iter().filter(|step| step.contains("SEARCH investment ")).collect();
            assert!(!walks.is_empty(), "{name}: {plan:?}");
            let expected = if name.ends_with("None") { "=?" } else { "=? AND (created_at,id)" };
            assert!(walks.iter().all(|step| step.contains(expected)), "{name}: {plan:?}");
        }
    }
}

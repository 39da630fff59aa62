//! Investors and wallets.

use std::collections::BTreeMap;

use domain::ids::{InvestorId, OrganisationId, WalletId};
use domain::investor::Investor;
use domain::wallet::Wallet;

use super::Reader;
use super::condition::Condition;
use super::page::{Index, List};
use super::snapshot::{IDS_MAX, Snapshot, one_of};
use crate::error::StoreError;
use crate::queries::{Page, PageRequest};

impl Reader {
    /// A platform's investors.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investors(&self, platform_id: OrganisationId, request: PageRequest) -> Result<Page<Investor>, StoreError> {
        self.run(|snapshot| {
            let sql = "SELECT rows FROM investor_count WHERE platform_id = ?";
            let count: Option<i64> = snapshot.value("investor_count", sql, [platform_id.uuid().into()])?;
            let count = count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            List::of(accounts_of(platform_id)).page_of(snapshot, request, count)
        })
    }

    /// One of a platform's investors.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investor(&self, platform_id: OrganisationId, id: InvestorId) -> Result<Option<Investor>, StoreError> {
        self.run_at_once(|snapshot| visible_investor(snapshot, platform_id, id))
    }

    /// An investor's personal data, sealed under the investor's key. Ask [`Reader::investor`] first whether the caller
    /// sees the investor.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn person(&self, id: InvestorId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT sealed FROM investor_person WHERE investor_id = ?";
        self.run_at_once(|snapshot| snapshot.value("investor_person", sql, [id.uuid().into()]))
    }

    /// An investor's key, wrapped; `None` where the person is erased.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn wrapped_key(&self, id: InvestorId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT wrapped FROM subject_key WHERE investor_id = ?";
        self.run_at_once(|snapshot| snapshot.value("subject_key", sql, [id.uuid().into()]))
    }

    /// The keys of investors, wrapped; nothing for those whose person is erased.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn wrapped_keys(&self, ids: &[InvestorId]) -> Result<BTreeMap<InvestorId, Vec<u8>>, StoreError> {
        self.run(|snapshot| sealed_of(snapshot, "subject_key", "SELECT investor_id, wrapped FROM subject_key", ids))
    }

    /// The personal data of investors, each sealed under the investor's key.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn persons(&self, ids: &[InvestorId]) -> Result<BTreeMap<InvestorId, Vec<u8>>, StoreError> {
        self.run(|snapshot| sealed_of(snapshot, "investor_person", "SELECT investor_id, sealed FROM investor_person", ids))
    }

    /// The wallets of one of a platform's investors; `None` where the platform does not see the investor.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn wallets(
        &self,
        platform_id: OrganisationId,
        investor_id: InvestorId,
        request: PageRequest,
    ) -> Result<Option<Page<Wallet>>, StoreError> {
        self.run(|snapshot| {
            if visible_investor(snapshot, platform_id, investor_id)?.is_none() {
                return Ok(None);
            }
            wallets_of(platform_id, investor_id).page(snapshot, request).map(Some)
        })
    }

    /// A wallet of one of a platform's investors.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn wallet(
        &self,
        platform_id: OrganisationId,
        investor_id: InvestorId,
        id: WalletId,
    ) -> Result<Option<Wallet>, StoreError> {
        let condition = Condition::with_id("id = ?", id.uuid())
            .and_id("investor_id = ?", investor_id.uuid())
            .and_id("platform_id = ?", platform_id.uuid());
        self.run_at_once(|snapshot| List::of(condition).single(snapshot))
    }
}

/// What is sealed for investors: the first column of a query is the investor, the second the bytes.
fn sealed_of(
    snapshot: &Snapshot<'_>,
    table: &'static str,
    select: &str,
    ids: &[InvestorId],
) -> Result<BTreeMap<InvestorId, Vec<u8>>, StoreError> {
    let mut sealed = BTreeMap::new();
    for ids in ids.chunks(IDS_MAX) {
        let (condition, ids) = one_of("investor_id", ids.iter().map(|id| id.uuid()));
        snapshot.each(table, &format!("{select} WHERE {condition}"), ids, &mut |row| {
            let (Ok(Some(id)), Ok(Some(bytes))) = (row.id(0), row.bytes(1)) else {
                return Err(StoreError::Inconsistent { table, column: "investor_id", row: row.key() });
            };
            sealed.insert(InvestorId::new(id), bytes.to_vec());
            Ok(())
        })?;
    }
    Ok(sealed)
}

fn accounts_of(platform_id: OrganisationId) -> Condition {
    Condition::with_id("platform_id = ?", platform_id.uuid())
}

fn visible_investor(
    snapshot: &Snapshot<'_>,
    platform_id: OrganisationId,
    id: InvestorId,
) -> Result<Option<Investor>, StoreError> {
    let condition = Condition::with_id("id = ?", id.uuid()).and_id("platform_id = ?", platform_id.uuid());
    List { index: Index::Key, condition }.single(snapshot)
}

fn wallets_of(platform_id: OrganisationId, investor_id: InvestorId) -> List {
    let condition = Condition::with_id("investor_id = ?", investor_id.uuid()).and_id("platform_id = ?", platform_id.uuid());
    List { index: Index::Named("wallet_by_investor"), condition }
}

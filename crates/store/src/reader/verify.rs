//! What `scrip verify` reads: whole tables, in chunks by key.

use std::collections::BTreeMap;

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::document::Document;
use domain::ids::{
    CampaignId, ClientId, CreditId, DocumentId, InvestmentId, InvestorId, IssuerId, ListingId, OrganisationId, ProductId,
    WalletId,
};
use domain::investment::{Investment, Status};
use domain::investor::Investor;
use domain::journal::Head;
use domain::organisation::{Client, Organisation};
use domain::product::{Issuer, Listing, Product};
use domain::units::Units;
use domain::wallet::{EvmAddress, Wallet};
use uuid::Uuid;

use super::Reader;
use super::investments::read_signed_documents;
use super::page::Index;
use super::snapshot::{Snapshot, Value, integrity_faults, journal_head};
use crate::error::StoreError;
use crate::queries::StoredEntry;
use crate::rows::{Decode, Table as _};

/// What a campaign says it has created, and what there is of it; `{index}` names the index that serves it.
const CREATED: &str = "
    SELECT id, investments_created,
        (SELECT count(*) FROM investment {index} WHERE campaign_id = campaign.id)
    FROM campaign";
/// A count of zero may have a row or none.
const COUNTED_INVESTMENTS: &str = "
    SELECT campaign_id, CAST(sum(counted) AS bigint), CAST(sum(found) AS bigint)
    FROM (SELECT platform_id, product_id, campaign_id, status, rows AS counted, 0 AS found FROM investment_count
        UNION ALL
        SELECT platform_id, product_id, campaign_id, status, 0, count(*) FROM investment
        GROUP BY platform_id, product_id, campaign_id, status) AS both_sides
    GROUP BY platform_id, product_id, campaign_id, status HAVING sum(counted) <> sum(found)";
const COUNTED_INVESTORS: &str = "
    SELECT platform_id, CAST(sum(counted) AS bigint), CAST(sum(found) AS bigint)
    FROM (SELECT platform_id, rows AS counted, 0 AS found FROM investor_count
        UNION ALL
        SELECT platform_id, 0, count(*) FROM investor GROUP BY platform_id) AS both_sides
    GROUP BY platform_id HAVING sum(counted) <> sum(found)";

macro_rules! chunks {
    ($($(#[$doc:meta])* $name:ident: $id:ty => $row:ty;)+) => {
        impl Reader {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Reader::client`].
            pub fn $name(&self, after: Option<$id>, limit: u32) -> Result<Vec<$row>, StoreError> {
                self.run(|snapshot| chunk(snapshot, after.map(<$id>::uuid), limit))
            }
        )+}
    };
}

chunks! {
    /// Organisations by id, after one or from the first.
    all_organisations: OrganisationId => Organisation;
    /// Clients by id, after one or from the first.
    all_clients: ClientId => Client;
    /// Issuers by id, after one or from the first.
    all_issuers: IssuerId => Issuer;
    /// Products by id, after one or from the first.
    all_products: ProductId => Product;
    /// Listings by id, after one or from the first.
    all_listings: ListingId => Listing;
    /// Campaigns by id, after one or from the first.
    all_campaigns: CampaignId => Campaign;
    /// Investors by id, after one or from the first.
    all_investors: InvestorId => Investor;
    /// Wallets by id, after one or from the first.
    all_wallets: WalletId => Wallet;
    /// Documents by id, after one or from the first.
    all_documents: DocumentId => Document;
    /// Credits by id, after one or from the first.
    all_credits: CreditId => Credit;
}

impl Reader {
    /// Investments by id, after one or from the first, with their signed documents.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn all_investments(&self, after: Option<InvestmentId>, limit: u32) -> Result<Vec<Investment>, StoreError> {
        self.run(|snapshot| {
            let mut investments = chunk(snapshot, after.map(InvestmentId::uuid), limit)?;
            read_signed_documents(snapshot, &mut investments)?;
            Ok(investments)
        })
    }

    /// Journal entries that come after a sequence, in sequence.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn journal_after(&self, sequence: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        let Ok(sequence) = i64::try_from(sequence) else {
            return Ok(Vec::new());
        };
        let sql = format!("{} WHERE sequence > ? ORDER BY sequence LIMIT ?", StoredEntry::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, [sequence.into(), limit.into()]))
    }

    /// The journal's newest entry.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn journal_head(&self) -> Result<Head, StoreError> {
        self.run(journal_head)
    }

    /// What holders should have on the ledger: the units still held of a product's delivered investments, by address.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn delivered_units_by_address(&self, product_id: ProductId) -> Result<BTreeMap<EvmAddress, Units>, StoreError> {
        self.run(|snapshot| delivered_units_by_address(snapshot, product_id))
    }

    /// What a campaign should have used: the units of its investments that have not ended.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn campaign_units_open(&self, campaign_id: CampaignId) -> Result<Units, StoreError> {
        let sum: Option<i64> = self.run(|snapshot| {
            let index = snapshot.indexed_by(Index::Named("investment_by_campaign"), "investment");
            let sql = format!(
                "SELECT CAST(coalesce(sum(units), 0) AS bigint) FROM investment {index} WHERE campaign_id = ? AND ending IS NULL"
            );
            snapshot.value("investment", &sql, [campaign_id.uuid().into()])
        })?;
        let units = sum.and_then(|sum| u64::try_from(sum).ok()).and_then(Units::new);
        units.ok_or_else(|| impossible_units(&campaign_id.to_string()))
    }

    /// Stored counts that are not what they count, one line each; empty where all are right.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn miscounted(&self) -> Result<Vec<String>, StoreError> {
        self.run(|snapshot| {
            let mut lines = Vec::new();
            let index = snapshot.indexed_by(Index::Named("investment_by_campaign"), "investment");
            compare_counts(snapshot, &CREATED.replace("{index}", &index), "investments ever created in campaign", &mut lines)?;
            compare_counts(snapshot, COUNTED_INVESTMENTS, "investments of campaign", &mut lines)?;
            compare_counts(snapshot, COUNTED_INVESTORS, "investors of platform", &mut lines)?;
            Ok(lines)
        })
    }

    /// What the engine itself finds wrong with the database, one line each; empty where nothing is: damaged pages and
    /// rows that their indexes do not know (embedded engine), rows that refer to nothing (both).
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.run(integrity_faults)
    }
}

/// Adds a line for each row (id, counted, found) whose two numbers differ.
fn compare_counts(snapshot: &Snapshot<'_>, sql: &str, what: &str, lines: &mut Vec<String>) -> Result<(), StoreError> {
    snapshot.each("investment_count", sql, [], &mut |row| {
        let cell = |index| row.number(index).ok().flatten();
        let (Ok(Some(id)), Some(counted), Some(found)) = (row.id(0), cell(1), cell(2)) else {
            return Err(StoreError::Inconsistent { table: "investment_count", column: "rows", row: what.to_owned() });
        };
        if counted != found {
            lines.push(format!("{what} {id} are counted as {counted}, there are {found}"));
        }
        Ok(())
    })
}

fn chunk<T: Decode>(snapshot: &Snapshot<'_>, after: Option<Uuid>, limit: u32) -> Result<Vec<T>, StoreError> {
    let select = T::COLUMNS.select();
    match after {
        Some(after) => snapshot.rows(&format!("{select} WHERE id > ? ORDER BY id LIMIT ?"), [after.into(), limit.into()]),
        None => snapshot.rows(&format!("{select} ORDER BY id LIMIT ?"), [limit.into()]),
    }
}

fn delivered_units_by_address(snapshot: &Snapshot<'_>, product_id: ProductId) -> Result<BTreeMap<EvmAddress, Units>, StoreError> {
    let sql = "SELECT wallet_address, CAST(sum(remaining) AS bigint) FROM investment
        WHERE product_id = ? AND status = ? GROUP BY wallet_address";
    let parameters = [Value::from(product_id.uuid()), Status::Delivered.code().into()];
    let mut held = BTreeMap::new();
    snapshot.each("investment", sql, parameters, &mut |row| {
        let address = row.bytes(0).ok().flatten().and_then(|bytes| <[u8; 20]>::try_from(bytes).ok());
        let sum = row.number(1).ok().flatten().and_then(|sum| u64::try_from(sum).ok()).and_then(Units::new);
        let (Some(address), Some(units)) = (address, sum) else {
            return Err(impossible_units(&product_id.to_string()));
        };
        held.insert(EvmAddress::new(address), units);
        Ok(())
    })?;
    Ok(held)
}

fn impossible_units(row: &str) -> StoreError {
    StoreError::Inconsistent { table: "investment", column: "units", row: row.to_owned() }
}

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
use rusqlite::Connection;

use super::Reader;
use super::investments::read_signed_documents;
use crate::error::StoreError;
use crate::queries::StoredEntry;
use crate::rows::Decode;
use crate::sqlite::failure::of_table;
use crate::sqlite::journal_head;
use crate::sqlite::statements::{SqliteTable, rows, rows_of_one_column, value};

/// A count of zero may have a row or none.
const MISCOUNTED: &str = "
    SELECT 'campaign ' || lower(hex(id)) || ' has created ' || investments_created || ' investments, there are ' || found
    FROM (SELECT id, investments_created,
        (SELECT count(*) FROM investment INDEXED BY investment_by_campaign WHERE campaign_id = campaign.id) AS found
        FROM campaign)
    WHERE investments_created <> found
    UNION ALL
    SELECT 'investments of campaign ' || lower(hex(campaign_id)) || ' in ' || status || ' are counted as ' || sum(counted)
        || ', there are ' || sum(found)
    FROM (SELECT platform_id, product_id, campaign_id, status, rows AS counted, 0 AS found FROM investment_count
        UNION ALL
        SELECT platform_id, product_id, campaign_id, status, 0, count(*) FROM investment
        GROUP BY platform_id, product_id, campaign_id, status)
    GROUP BY platform_id, product_id, campaign_id, status HAVING sum(counted) <> sum(found)
    UNION ALL
    SELECT 'investors of platform ' || lower(hex(platform_id)) || ' are counted as ' || sum(counted) || ', there are ' || sum(found)
    FROM (SELECT platform_id, rows AS counted, 0 AS found FROM investor_count
        UNION ALL
        SELECT platform_id, 0, count(*) FROM investor GROUP BY platform_id)
    GROUP BY platform_id HAVING sum(counted) <> sum(found)";

macro_rules! chunks {
    ($($(#[$doc:meta])* $name:ident: $id:ty => $row:ty;)+) => {
        impl Reader {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`Reader::client`].
            pub fn $name(&self, after: Option<$id>, limit: u32) -> Result<Vec<$row>, StoreError> {
                self.run(|connection| chunk(connection, after.map(<$id>::bytes), limit))
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
        self.run(|connection| {
            let mut investments = chunk(connection, after.map(InvestmentId::bytes), limit)?;
            read_signed_documents(connection, &mut investments)?;
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
        let sql = format!("{} WHERE sequence > ?1 ORDER BY sequence LIMIT ?2", StoredEntry::statements().select);
        self.run(|connection| rows(connection, &sql, (sequence, limit)))
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
        self.run(|connection| delivered_units_by_address(connection, product_id))
    }

    /// What a campaign should have used: the units of its investments that have not ended.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn campaign_units_open(&self, campaign_id: CampaignId) -> Result<Units, StoreError> {
        let sql = "SELECT coalesce(sum(units), 0) FROM investment INDEXED BY investment_by_campaign
            WHERE campaign_id = ?1 AND ending IS NULL";
        let sum: Option<i64> = self.run(|connection| value(connection, "investment", sql, [campaign_id.bytes()]))?;
        let units = sum.and_then(|sum| u64::try_from(sum).ok()).and_then(Units::new);
        units.ok_or_else(|| impossible_units(&campaign_id.to_string()))
    }

    /// Stored counts that are not what they count, one line each; empty where all are right.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn miscounted(&self) -> Result<Vec<String>, StoreError> {
        self.run(|connection| rows_of_one_column(connection, "investment_count", MISCOUNTED, []))
    }

    /// What the engine itself finds wrong with the database file, one line each; empty where nothing is: damaged pages,
    /// rows that their indexes do not know, rows that refer to nothing.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.run(|connection| {
            let mut faults: Vec<String> = rows_of_one_column(connection, "database", "PRAGMA quick_check", [])?;
            faults.retain(|fault| fault != "ok");
            let sql = "SELECT \"table\" || ' row ' || coalesce(rowid, '?') || ' refers to no ' || parent
                FROM pragma_foreign_key_check";
            faults.extend(rows_of_one_column::<String>(connection, "database", sql, [])?);
            Ok(faults)
        })
    }
}

fn chunk<T: Decode + SqliteTable>(connection: &Connection, after: Option<[u8; 16]>, limit: u32) -> Result<Vec<T>, StoreError> {
    // Nothing is smaller than no bytes.
    let after = after.as_ref().map_or(&[][..], <[u8; 16]>::as_slice);
    rows(connection, &format!("{} WHERE id > ?1 ORDER BY id LIMIT ?2", T::statements().select), (after, limit))
}

fn delivered_units_by_address(connection: &Connection, product_id: ProductId) -> Result<BTreeMap<EvmAddress, Units>, StoreError> {
    const TABLE: &str = "investment";
    let sql = "SELECT wallet_address, sum(remaining) FROM investment
        WHERE product_id = ?1 AND status = ?2 GROUP BY wallet_address";
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(TABLE, &error))?;
    let mut rows = statement.query((product_id.bytes(), Status::Delivered.code())).map_err(|error| of_table(TABLE, &error))?;
    let mut held = BTreeMap::new();
    while let Some(row) = rows.next().map_err(|error| of_table(TABLE, &error))? {
        let sum = row.get::<_, i64>(1).ok().and_then(|sum| u64::try_from(sum).ok()).and_then(Units::new);
        let (Ok(address), Some(units)) = (row.get(0), sum) else {
            return Err(impossible_units(&product_id.to_string()));
        };
        held.insert(EvmAddress::new(address), units);
    }
    Ok(held)
}

fn impossible_units(row: &str) -> StoreError {
    StoreError::Inconsistent { table: "investment", column: "units", row: row.to_owned() }
}

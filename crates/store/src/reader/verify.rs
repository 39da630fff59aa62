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
use domain::webhook::Webhook;
use uuid::Uuid;

use super::Reader;
use super::investments::read_signed_documents;
use super::snapshot::{Snapshot, Value, integrity_faults, journal_head};
use crate::error::StoreError;
use crate::queries::{InvestmentGroup, StoredEntry};
use crate::rows::{Cells, Decode, Table as _};

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
    /// Webhooks by their organisation, after one or from the first.
    all_webhooks: OrganisationId => Webhook;
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

    /// How many investments of each platform, product, campaign and status are counted, and how many units of them are delivered.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investment_counts(&self) -> Result<BTreeMap<InvestmentGroup, (u64, u64)>, StoreError> {
        let sql = "SELECT platform_id, product_id, campaign_id, status, rows, units_delivered FROM investment_count";
        let mut counts = BTreeMap::new();
        self.run(|snapshot| {
            snapshot.each("investment_count", sql, [], &mut |row| {
                let id = |place| row.id(place).ok().flatten();
                let status = row.text(3).ok().flatten().and_then(Status::from_code);
                let (Some(platform), Some(product), Some(campaign), Some(status), Some(rows), Some(units)) =
                    (id(0), id(1), id(2), status, count(row, 4), count(row, 5))
                else {
                    return Err(StoreError::Inconsistent { table: "investment_count", column: "rows", row: row.key() });
                };
                let group = (OrganisationId::new(platform), ProductId::new(product), CampaignId::new(campaign), status);
                counts.insert(group, (rows, units));
                Ok(())
            })
        })?;
        Ok(counts)
    }

    /// How many investors of each platform are counted.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn investor_counts(&self) -> Result<BTreeMap<OrganisationId, u64>, StoreError> {
        let sql = "SELECT platform_id, rows FROM investor_count";
        let mut counts = BTreeMap::new();
        self.run(|snapshot| {
            snapshot.each("investor_count", sql, [], &mut |row| {
                let (Ok(Some(platform)), Some(rows)) = (row.id(0), count(row, 1)) else {
                    return Err(StoreError::Inconsistent { table: "investor_count", column: "rows", row: row.key() });
                };
                counts.insert(OrganisationId::new(platform), rows);
                Ok(())
            })
        })?;
        Ok(counts)
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

fn count(row: &dyn Cells, place: usize) -> Option<u64> {
    row.number(place).ok().flatten().and_then(|rows| u64::try_from(rows).ok())
}

fn chunk<T: Decode>(snapshot: &Snapshot<'_>, after: Option<Uuid>, limit: u32) -> Result<Vec<T>, StoreError> {
    let (select, key) = (T::COLUMNS.select(), T::COLUMNS.name_at(0));
    match after {
        Some(after) => snapshot.rows(&format!("{select} WHERE {key} > ? ORDER BY {key} LIMIT ?"), [after.into(), limit.into()]),
        None => snapshot.rows(&format!("{select} ORDER BY {key} LIMIT ?"), [limit.into()]),
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

//! Resolving and loading what a batch names.
//!
//! `BEGIN IMMEDIATE` has taken the only lock there is, so rows are read in the order in which they refer to each other
//! instead of the order in which an engine with row locks takes them: each row is read once.

use std::collections::{BTreeMap, BTreeSet};

use domain::document::SignedDocument;
use domain::ids::{
    CampaignId, ClientId, CreditId, DocumentId, InstructionId, InvestmentId, InvestorId, IssuerId, LedgerTransactionId,
    OrganisationId, ProductId, WalletId,
};
use domain::instant::Instant;
use domain::investment::{Investment, Status};
use domain::lease::Lease;
use domain::wallet::EvmAddress;
use rusqlite::Connection;
use uuid::Uuid;

use super::super::day_tables;
use super::super::failure::of_table;
use super::super::statements::{SqliteTable, first, rows, rows_of_one_column, value};
use crate::book::{Book, Table, Wanted};
use crate::error::StoreError;
use crate::reader::{Snapshot, journal_head};
use crate::rows::Decode;

/// The signed documents of an investment, in order of attachment.
const SIGNED_DOCUMENTS: &str = " WHERE investment_id = ?1 ORDER BY position";

/// The time of the engine: that of the machine, because one process holds the database. In microseconds.
const ENGINE_NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000";

/// A key of one column.
trait Key: Ord + Copy {
    fn with_bytes<T>(self, read: impl FnOnce(&[u8]) -> T) -> T;
}

macro_rules! keys {
    ($($key:ty),+ $(,)?) => {$(
        impl Key for $key {
            fn with_bytes<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
                read(&self.bytes())
            }
        }
    )+};
}

keys!(
    OrganisationId,
    ClientId,
    IssuerId,
    ProductId,
    CampaignId,
    InvestorId,
    WalletId,
    DocumentId,
    InvestmentId,
    CreditId,
    InstructionId,
    LedgerTransactionId,
    EvmAddress,
);

/// Loads everything that is wanted and what it refers to.
pub(super) fn load(connection: &Connection, wanted: &Wanted) -> Result<Book, StoreError> {
    let mut book = Book::default();
    load_positions(connection, wanted, &mut book)?;
    load_table(connection, &wanted.wallets, &mut book.wallets)?;
    let mut campaigns = wanted.campaigns.clone();
    let mut investors = wanted.investors.clone();
    let mut products = wanted.products.clone();
    for investment in book.investments.iter() {
        campaigns.insert(investment.campaign_id);
        investors.insert(investment.investor_id);
        products.insert(investment.product_id);
    }
    investors.extend(book.wallets.iter().map(|wallet| wallet.investor_id));
    load_table(connection, &campaigns, &mut book.campaigns)?;
    products.extend(book.campaigns.iter().map(|campaign| campaign.product_id));
    load_table(connection, &products, &mut book.products)?;
    load_table(connection, &investors, &mut book.investors)?;
    load_wrapped_keys(connection, &investors, &mut book.wrapped_keys)?;
    load_table(connection, &wanted.organisations, &mut book.organisations)?;
    load_table(connection, &wanted.clients, &mut book.clients)?;
    load_table(connection, &wanted.issuers, &mut book.issuers)?;
    load_table(connection, &wanted.documents, &mut book.documents)?;
    load_table(connection, &wanted.ledger_transactions, &mut book.ledger_transactions)?;
    load_table(connection, &wanted.claimed_instructions, &mut book.instructions)?;
    load_table(connection, &wanted.signers, &mut book.signers)?;
    load_leases(connection, wanted, &mut book)?;
    load_listings(connection, wanted, &mut book)?;
    load_taken(connection, wanted, &mut book)?;
    load_answers(connection, wanted, &mut book)?;
    book.journal_head = journal_head(&Snapshot::Sqlite(connection))?;
    Ok(book)
}

/// Instructions, credits and investments, each with those it refers to, and the newest credit of every investment.
fn load_positions(connection: &Connection, wanted: &Wanted, book: &mut Book) -> Result<(), StoreError> {
    load_table(connection, &wanted.instructions, &mut book.instructions)?;
    let mut credits = wanted.credits.clone();
    credits.extend(book.instructions.iter().map(|instruction| instruction.credit_id));
    load_table(connection, &credits, &mut book.credits)?;
    let mut investments = wanted.investments.clone();
    investments.extend(book.credits.iter().map(|credit| credit.investment_id));
    for investor in &wanted.investors_waiting {
        investments.extend(waiting_investments(connection, *investor)?);
    }
    load_investments(connection, &investments, &mut book.investments)?;
    let newest = book.investments.iter().filter_map(|investment| investment.latest_credit).map(|credit| credit.id);
    let newest: BTreeSet<CreditId> = newest.filter(|id| !credits.contains(id)).collect();
    load_table(connection, &newest, &mut book.credits)
}

fn waiting_investments(connection: &Connection, investor: InvestorId) -> Result<Vec<InvestmentId>, StoreError> {
    let sql = "SELECT id FROM investment INDEXED BY investment_by_investor WHERE investor_id = ?1 AND status = ?2";
    let parameters = (investor.bytes(), Status::KycPending.code());
    let ids: Vec<[u8; 16]> = rows_of_one_column(connection, "investment", sql, parameters)?;
    Ok(ids.into_iter().map(|id| InvestmentId::new(Uuid::from_bytes(id))).collect())
}

fn load_table<K: Key, V: Decode + SqliteTable + Clone>(
    connection: &Connection,
    keys: &BTreeSet<K>,
    table: &mut Table<K, V>,
) -> Result<(), StoreError> {
    each(connection, keys, |key, row| table.loaded(key, row))
}

fn load_investments(
    connection: &Connection,
    keys: &BTreeSet<InvestmentId>,
    table: &mut Table<InvestmentId, Investment>,
) -> Result<(), StoreError> {
    let sql = format!("{}{SIGNED_DOCUMENTS}", SignedDocument::statements().select);
    let mut found: Vec<(InvestmentId, Investment)> = Vec::with_capacity(keys.len());
    each(connection, keys, |key, row| found.push((key, row)))?;
    for (key, mut investment) in found {
        investment.signed_documents = rows(connection, &sql, [key.bytes()])?;
        table.loaded(key, investment);
    }
    Ok(())
}

/// Reads the row of every key, keys ascending, with one statement.
fn each<K: Key, V: Decode + SqliteTable>(
    connection: &Connection,
    keys: &BTreeSet<K>,
    mut take: impl FnMut(K, V),
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let table = V::COLUMNS.table;
    let mut statement = connection.prepare_cached(&V::statements().select_by_key).map_err(|error| of_table(table, &error))?;
    for key in keys {
        let row = key.with_bytes(|bytes| {
            let mut rows = statement.query([bytes]).map_err(|error| of_table(table, &error))?;
            rows.next().map_err(|error| of_table(table, &error))?.map(V::read).transpose()
        })?;
        if let Some(row) = row {
            take(*key, row);
        }
    }
    Ok(())
}

fn load_wrapped_keys(
    connection: &Connection,
    investors: &BTreeSet<InvestorId>,
    wrapped_keys: &mut BTreeMap<InvestorId, Vec<u8>>,
) -> Result<(), StoreError> {
    let sql = "SELECT wrapped FROM subject_key WHERE investor_id = ?1";
    for investor in investors {
        if let Some(wrapped) = value(connection, "subject_key", sql, [investor.bytes()])? {
            wrapped_keys.insert(*investor, wrapped);
        }
    }
    Ok(())
}

fn load_listings(connection: &Connection, wanted: &Wanted, book: &mut Book) -> Result<(), StoreError> {
    let select = &domain::product::Listing::statements().select;
    let sql = format!("{select} WHERE product_id = ?1 AND platform_id = ?2");
    for key in &wanted.listings {
        if let Some(listing) = first(connection, &sql, (key.0.bytes(), key.1.bytes()))? {
            book.listings.loaded(*key, listing);
        }
    }
    Ok(())
}

fn load_taken(connection: &Connection, wanted: &Wanted, book: &mut Book) -> Result<(), StoreError> {
    let by_name = "SELECT 1 FROM organisation WHERE kind = ?1 AND name = ?2";
    for (kind, name) in &wanted.organisation_names {
        if value::<i64>(connection, "organisation", by_name, (kind.code(), name))?.is_some() {
            book.organisation_names_taken.insert((*kind, name.clone()));
        }
    }
    let by_asset_code = "SELECT 1 FROM product WHERE asset_code = ?1";
    for asset_code in &wanted.asset_codes {
        if value::<i64>(connection, "product", by_asset_code, [asset_code])?.is_some() {
            book.asset_codes_taken.insert(asset_code.clone());
        }
    }
    let by_address = "SELECT investor_id FROM wallet WHERE address = ?1";
    for address in &wanted.addresses {
        if let Some(investor) = value::<[u8; 16]>(connection, "wallet", by_address, [address.bytes()])? {
            book.addresses_taken.insert(*address, InvestorId::new(Uuid::from_bytes(investor)));
        }
    }
    Ok(())
}

fn load_leases(connection: &Connection, wanted: &Wanted, book: &mut Book) -> Result<(), StoreError> {
    if wanted.lanes.is_empty() {
        return Ok(());
    }
    for lane in &wanted.lanes {
        if let Some(lease) = first(connection, &Lease::statements().select_by_key, [lane.code()])? {
            book.leases.loaded(*lane, lease);
        }
    }
    book.engine_now = value(connection, "lease", ENGINE_NOW, [])?.map(Instant::from_micros);
    Ok(())
}

fn load_answers(connection: &Connection, wanted: &Wanted, book: &mut Book) -> Result<(), StoreError> {
    if wanted.answers.is_empty() {
        return Ok(());
    }
    // The newest day first: an answer that was given again today hides yesterday's.
    for sql in day_tables::answer_lookups(connection, wanted.answers_day)? {
        let mut statement = connection.prepare_cached(&sql).map_err(|error| of_table("answer", &error))?;
        for key in &wanted.answers {
            if !book.answers.contains_key(key)
                && let Some(answer) = day_tables::answer(&mut statement, key)?
            {
                book.answers.insert(key.clone(), answer);
            }
        }
    }
    Ok(())
}

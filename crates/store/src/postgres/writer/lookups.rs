//! The look-ups of a batch: one statement a table, and nothing where there is nothing to look for.

use std::collections::BTreeSet;

use domain::ids::{InstructionId, OrganisationId, ProductId};
use domain::instruction::Instruction;
use domain::investment::Status;
use domain::lease::{Lane, Lease};
use domain::organisation::OrganisationKind;
use domain::product::Listing;
use domain::wallet::EvmAddress;
use uuid::Uuid;

use super::super::cells::{ColumnCells, Parameter};
use super::super::pipeline::{BoxedParameter, Pipeline, Slot};
use super::load::Named;
use super::sets::boxed;
use crate::error::StoreError;
use crate::reader::Value;
use crate::record::{Answer, AnswerKey};
use crate::rows::{Cell, Decode, Table as _};

pub(super) const CREDIT_INVESTMENTS: &str =
    "SELECT id, investment_id FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN credit ON id = wanted_id";
pub(super) const INSTRUCTION_CREDITS: &str = "SELECT id, credit_id, investment_id
    FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN instruction ON id = wanted_id";
pub(super) const WAITING_INVESTMENTS: &str = "SELECT id FROM UNNEST($1::uuid[]) AS wanted (wanted_id)
    JOIN investment ON investor_id = wanted_id WHERE status = $2";
/// The investments that are wanted by themselves, by a credit, by an instruction, or because they wait.
pub(super) const INVESTMENT_REFERENCES: &str = "SELECT id, product_id, campaign_id, investor_id FROM (
        SELECT UNNEST($1::uuid[])
        UNION SELECT investment_id FROM UNNEST($2::uuid[]) AS wanted (wanted_id) JOIN credit ON id = wanted_id
        UNION SELECT investment_id FROM UNNEST($3::uuid[]) AS wanted (wanted_id) JOIN instruction ON id = wanted_id
        UNION SELECT id FROM UNNEST($4::uuid[]) AS wanted (wanted_id)
            JOIN investment ON investor_id = wanted_id WHERE status = $5
    ) AS found (found_id) JOIN investment ON id = found_id";
/// Products that are named, and those of campaigns.
const PRODUCTS_FOUND: &str = "SELECT UNNEST($1::uuid[])
    UNION SELECT product_id FROM UNNEST($2::uuid[]) AS wanted (wanted_id) JOIN campaign ON id = wanted_id";
/// Investors that are named, and those of wallets.
const INVESTORS_FOUND: &str = "SELECT UNNEST($1::uuid[])
    UNION SELECT investor_id FROM UNNEST($2::uuid[]) AS wanted (wanted_id) JOIN wallet ON id = wanted_id";
/// What several processes do about an instruction that one of them is working on: pass it over. The embedded engine has
/// one process and needs nothing here.
const CLAIM: &str = "SKIP LOCKED";
/// The server's time, of the statement itself: it runs when the leases are locked.
pub(super) const ENGINE_NOW: &str = "SELECT clock_timestamp()";
pub(super) const LOCK_HEAD: &str = "SELECT sequence, hash FROM journal_head FOR UPDATE";
pub(super) const NAMES_TAKEN: &str = "SELECT kind, name FROM UNNEST($1::text[], $2::text[]) AS wanted (wanted_kind, wanted_name)
    JOIN organisation ON kind = wanted_kind AND name = wanted_name";
pub(super) const ASSET_CODES_TAKEN: &str = "SELECT asset_code FROM UNNEST($1::text[]) AS wanted (wanted_code)
    JOIN product ON asset_code = wanted_code";
pub(super) const ADDRESSES_TAKEN: &str = "SELECT address, investor_id FROM UNNEST($1::bytea[]) AS wanted (wanted_address)
    JOIN wallet ON address = wanted_address";

/// A look-up of rows by an array of keys, one index search a key.
pub(super) fn look_up<V: Decode>(key: &str, ty: &str) -> String {
    let (columns, table) = (V::COLUMNS.list(), V::COLUMNS.table);
    format!("SELECT {columns} FROM UNNEST($1::{ty}[]) AS wanted (wanted_key) JOIN {table} ON {key} = wanted_key")
}

/// Rows by id, without a lock.
pub(super) fn see<V: Decode>(pipeline: &mut Pipeline, ids: impl ExactSizeIterator<Item = Uuid>) -> Result<Slot, StoreError> {
    ask_ids(pipeline, V::COLUMNS.table, &look_up::<V>("id", "uuid"), ids)
}

/// Rows by id, locked in the order of their ids.
pub(super) fn lock<V: Decode>(pipeline: &mut Pipeline, ids: impl ExactSizeIterator<Item = Uuid>) -> Result<Slot, StoreError> {
    let table = V::COLUMNS.table;
    let sql = format!("{} ORDER BY id FOR NO KEY UPDATE OF {table}", look_up::<V>("id", "uuid"));
    ask_ids(pipeline, table, &sql, ids)
}

/// Rows that are named by their own ids or found by the ids of others, locked in the order of their ids.
fn lock_found<V: Decode>(
    pipeline: &mut Pipeline,
    found: &str,
    named: impl ExactSizeIterator<Item = Uuid>,
    others: impl ExactSizeIterator<Item = Uuid>,
) -> Result<Slot, StoreError> {
    let (columns, table) = (V::COLUMNS.list(), V::COLUMNS.table);
    let sql = format!(
        "SELECT {columns} FROM ({found}) AS found (found_id) JOIN {table} ON id = found_id
         ORDER BY id FOR NO KEY UPDATE OF {table}"
    );
    ask_found(pipeline, table, &sql, named, others)
}

/// The products that are named and those of campaigns, locked.
pub(super) fn lock_products(pipeline: &mut Pipeline, named: &Named) -> Result<Slot, StoreError> {
    let (products, campaigns) = (named.products.iter().map(|id| id.uuid()), named.campaigns.iter().map(|id| id.uuid()));
    lock_found::<domain::product::Product>(pipeline, PRODUCTS_FOUND, products, campaigns)
}

/// The investors that are named and those of wallets, locked.
pub(super) fn lock_investors(pipeline: &mut Pipeline, named: &Named) -> Result<Slot, StoreError> {
    let (investors, wallets) = (named.investors.iter().map(|id| id.uuid()), named.wallets.iter().map(|id| id.uuid()));
    lock_found::<domain::investor::Investor>(pipeline, INVESTORS_FOUND, investors, wallets)
}

/// Their wrapped keys.
pub(super) fn ask_wrapped_keys(pipeline: &mut Pipeline, named: &Named) -> Result<Slot, StoreError> {
    let (investors, wallets) = (named.investors.iter().map(|id| id.uuid()), named.wallets.iter().map(|id| id.uuid()));
    let sql = format!(
        "SELECT investor_id, wrapped FROM ({INVESTORS_FOUND}) AS found (found_id) JOIN subject_key ON investor_id = found_id"
    );
    ask_found(pipeline, "subject_key", &sql, investors, wallets)
}

fn ask_found(
    pipeline: &mut Pipeline,
    table: &'static str,
    sql: &str,
    named: impl ExactSizeIterator<Item = Uuid>,
    others: impl ExactSizeIterator<Item = Uuid>,
) -> Result<Slot, StoreError> {
    if named.len() == 0 && others.len() == 0 {
        return Ok(Slot::NONE);
    }
    Ok(pipeline.ask(table, sql, boxed([ColumnCells::of_ids(named)?, ColumnCells::of_ids(others)?])))
}

/// Credits that are wanted, and the newest of every investment.
pub(super) fn lock_credits(pipeline: &mut Pipeline, resolved: &Named) -> Result<Slot, StoreError> {
    if resolved.credits.is_empty() && resolved.investments.is_empty() {
        return Ok(Slot::NONE);
    }
    let columns = domain::credit::Credit::COLUMNS.list();
    let sql = format!(
        "SELECT {columns} FROM (
            SELECT UNNEST($1::uuid[])
            UNION SELECT latest_credit_id FROM UNNEST($2::uuid[]) AS wanted (wanted_id) JOIN investment ON id = wanted_id
        ) AS found (found_id) JOIN credit ON id = found_id ORDER BY id FOR NO KEY UPDATE OF credit"
    );
    let parameters = boxed([
        ColumnCells::of_ids(resolved.credits.iter().map(|id| id.uuid()))?,
        ColumnCells::of_ids(resolved.investments.iter().map(|id| id.uuid()))?,
    ]);
    Ok(pipeline.ask("credit", sql, parameters))
}

pub(super) fn lock_signers(pipeline: &mut Pipeline, addresses: &BTreeSet<EvmAddress>) -> Result<Slot, StoreError> {
    let look_up = look_up::<domain::ledger_transaction::Signer>("address", "bytea");
    ask_bytes(pipeline, "signer", &format!("{look_up} ORDER BY address FOR NO KEY UPDATE OF signer"), addresses)
}

/// Instructions that no other process is working on. Who works on one holds its lock until it is bound: waiting for that
/// would only find it taken.
pub(super) fn claim_instructions(pipeline: &mut Pipeline, ids: &BTreeSet<InstructionId>) -> Result<Slot, StoreError> {
    let look_up = look_up::<Instruction>("id", "uuid");
    let sql = format!("{look_up} ORDER BY id FOR NO KEY UPDATE OF instruction {CLAIM}");
    ask_ids(pipeline, "instruction", &sql, ids.iter().map(|id| id.uuid()))
}

/// Leases of lanes, locked.
pub(super) fn lock_leases(pipeline: &mut Pipeline, lanes: &BTreeSet<Lane>) -> Result<Slot, StoreError> {
    let sql = format!("{} ORDER BY lane FOR NO KEY UPDATE OF lease", look_up::<Lease>("lane", "text"));
    ask_texts(pipeline, "lease", &sql, lanes.iter().map(|lane| lane.code()))
}

pub(super) fn ask_addresses(pipeline: &mut Pipeline, addresses: &BTreeSet<EvmAddress>) -> Result<Slot, StoreError> {
    ask_bytes(pipeline, "wallet", ADDRESSES_TAKEN, addresses)
}

pub(super) fn ask_bytes(
    pipeline: &mut Pipeline,
    table: &'static str,
    sql: &str,
    addresses: &BTreeSet<EvmAddress>,
) -> Result<Slot, StoreError> {
    if addresses.is_empty() {
        return Ok(Slot::NONE);
    }
    let mut column = ColumnCells::default();
    addresses.iter().try_for_each(|address| column.push(Cell::Bytes(&address.bytes())))?;
    Ok(pipeline.ask(table, sql, boxed([column])))
}

pub(super) fn ask_ids(
    pipeline: &mut Pipeline,
    table: &'static str,
    sql: &str,
    ids: impl ExactSizeIterator<Item = Uuid>,
) -> Result<Slot, StoreError> {
    if ids.len() == 0 {
        return Ok(Slot::NONE);
    }
    Ok(pipeline.ask(table, sql, boxed([ColumnCells::of_ids(ids)?])))
}

pub(super) fn ask_texts(
    pipeline: &mut Pipeline,
    table: &'static str,
    sql: &str,
    texts: impl ExactSizeIterator<Item: AsRef<str>>,
) -> Result<Slot, StoreError> {
    if texts.len() == 0 {
        return Ok(Slot::NONE);
    }
    let mut column = ColumnCells::default();
    for text in texts {
        column.push(Cell::Text(text.as_ref()))?;
    }
    Ok(pipeline.ask(table, sql, boxed([column])))
}

pub(super) fn ask_listings(pipeline: &mut Pipeline, keys: &BTreeSet<(ProductId, OrganisationId)>) -> Result<Slot, StoreError> {
    if keys.is_empty() {
        return Ok(Slot::NONE);
    }
    let columns = Listing::COLUMNS.list();
    let sql = format!(
        "SELECT {columns} FROM UNNEST($1::uuid[], $2::uuid[]) AS wanted (wanted_product, wanted_platform)
         JOIN listing ON product_id = wanted_product AND platform_id = wanted_platform"
    );
    let products = ColumnCells::of_ids(keys.iter().map(|(product, _)| product.uuid()))?;
    let platforms = ColumnCells::of_ids(keys.iter().map(|(_, platform)| platform.uuid()))?;
    Ok(pipeline.ask("listing", sql, boxed([products, platforms])))
}

pub(super) fn ask_names(pipeline: &mut Pipeline, names: &BTreeSet<(OrganisationKind, String)>) -> Result<Slot, StoreError> {
    if names.is_empty() {
        return Ok(Slot::NONE);
    }
    let mut columns: [ColumnCells; 2] = Default::default();
    for (kind, name) in names {
        let [kinds, texts] = &mut columns;
        kinds.push(Cell::Text(kind.code()))?;
        texts.push(Cell::Text(name))?;
    }
    Ok(pipeline.ask("organisation", NAMES_TAKEN, boxed(columns)))
}

pub(super) fn ask_answers(pipeline: &mut Pipeline, table: &str, keys: &BTreeSet<AnswerKey>) -> Result<Slot, StoreError> {
    let columns = <(AnswerKey, Answer)>::COLUMNS.list();
    let sql = format!(
        "SELECT {columns} FROM UNNEST($1::uuid[], $2::uuid[], $3::text[]) AS wanted (wanted_tenant, wanted_client, wanted_key)
         JOIN {table} ON organisation_id = wanted_tenant AND client_id = wanted_client AND key = wanted_key"
    );
    let mut cells: [ColumnCells; 3] = Default::default();
    for key in keys {
        let [tenants, clients, texts] = &mut cells;
        tenants.push(Cell::Id(key.organisation_id.uuid()))?;
        clients.push(Cell::Id(key.client_id.uuid()))?;
        texts.push(Cell::Text(&key.key))?;
    }
    Ok(pipeline.ask("answer", sql, boxed(cells)))
}

/// The status of an investment that waits for identification, as a parameter.
pub(super) fn status_waiting() -> BoxedParameter {
    Box::new(Parameter(Value::from(Status::KycPending.code())))
}

/// How the server works off every look-up by an array of keys, one text each.
#[cfg(test)]
pub(super) async fn plans(connection: &super::super::connect::Connection) -> Vec<String> {
    let signers = look_up::<domain::ledger_transaction::Signer>("address", "bytea");
    let by_id = [
        look_up::<domain::product::Product>("id", "uuid"),
        look_up::<domain::campaign::Campaign>("id", "uuid"),
        look_up::<domain::investor::Investor>("id", "uuid"),
        look_up::<domain::wallet::Wallet>("id", "uuid"),
        look_up::<domain::investment::Investment>("id", "uuid"),
        look_up::<domain::document::SignedDocument>("investment_id", "uuid"),
        look_up::<domain::document::Document>("id", "uuid"),
        look_up::<Instruction>("id", "uuid"),
        look_up::<domain::ledger_transaction::LedgerTransaction>("id", "uuid"),
        format!("SELECT * FROM ({PRODUCTS_FOUND}) AS found (found_id) JOIN product ON id = found_id"),
        format!("SELECT * FROM ({INVESTORS_FOUND}) AS found (found_id) JOIN investor ON id = found_id"),
        CREDIT_INVESTMENTS.to_owned(),
        INSTRUCTION_CREDITS.to_owned(),
        format!("SELECT * FROM ({INVESTORS_FOUND}) AS found (found_id) JOIN subject_key ON investor_id = found_id"),
    ];
    let mut plans = Vec::new();
    for sql in by_id.into_iter().chain([signers]) {
        let explained = sql
            .replace("$1::uuid[]", "ARRAY[gen_random_uuid()]")
            .replace("$2::uuid[]", "ARRAY[gen_random_uuid()]")
            .replace("$1::bytea[]", "ARRAY[''::bytea]");
        let rows = connection.query(&format!("EXPLAIN {explained}"), &[]).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        plans.push(format!("{sql}: {}", steps.join(" / ")));
    }
    plans
}

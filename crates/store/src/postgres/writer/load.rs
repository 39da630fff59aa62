//! Resolving, locking and loading what a batch names.
//!
//! References never change, so what refers to what is found out first, without locks. Then rows are locked table by
//! table in the fixed order, ids ascending, and the journal's head last: from there on no other program commits, so what
//! is read without a lock after it (names, answers) stays as it was read.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Object;
use domain::document::SignedDocument;
use domain::ids::{CampaignId, CreditId, InstructionId, InvestmentId, InvestorId, OrganisationId, ProductId, WalletId};
use domain::instruction::Instruction;
use domain::investment::{Investment, Status};
use domain::lease::{Lane, Lease};
use domain::organisation::OrganisationKind;
use domain::product::Listing;
use domain::wallet::EvmAddress;
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::cells::{ColumnCells, Parameter};
use super::super::pipeline::{Answers, BoxedParameter, Pipeline, Slot};
use super::sets::boxed;
use crate::book::{Book, Table, Wanted};
use crate::error::StoreError;
use crate::reader::{Value, head_of};
use crate::record::{Answer, AnswerKey};
use crate::rows::{Cell, Cells, Decode, Table as _};

const CAMPAIGN_PRODUCTS: &str =
    "SELECT id, product_id FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN campaign ON id = wanted_id";
const WALLET_INVESTORS: &str =
    "SELECT id, investor_id FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN wallet ON id = wanted_id";
const CREDIT_INVESTMENTS: &str =
    "SELECT id, investment_id FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN credit ON id = wanted_id";
const INSTRUCTION_CREDITS: &str = "SELECT id, credit_id, investment_id
    FROM UNNEST($1::uuid[]) AS wanted (wanted_id) JOIN instruction ON id = wanted_id";
const WAITING_INVESTMENTS: &str = "SELECT id FROM UNNEST($1::uuid[]) AS wanted (wanted_id)
    JOIN investment ON investor_id = wanted_id WHERE status = $2";
/// The investments that are wanted by themselves, by a credit, by an instruction, or because they wait.
const INVESTMENT_REFERENCES: &str = "SELECT id, product_id, campaign_id, investor_id FROM (
        SELECT UNNEST($1::uuid[])
        UNION SELECT investment_id FROM UNNEST($2::uuid[]) AS wanted (wanted_id) JOIN credit ON id = wanted_id
        UNION SELECT investment_id FROM UNNEST($3::uuid[]) AS wanted (wanted_id) JOIN instruction ON id = wanted_id
        UNION SELECT id FROM UNNEST($4::uuid[]) AS wanted (wanted_id)
            JOIN investment ON investor_id = wanted_id WHERE status = $5
    ) AS found (found_id) JOIN investment ON id = found_id";
const WRAPPED_KEYS: &str = "SELECT investor_id, wrapped FROM UNNEST($1::uuid[]) AS wanted (wanted_id)
    JOIN subject_key ON investor_id = wanted_id";
/// What several processes do about an instruction that one of them is working on: pass it over. The embedded engine has
/// one process and needs nothing here.
const CLAIM: &str = "SKIP LOCKED";
/// The server's time, of the statement itself: it runs when the leases are locked.
const ENGINE_NOW: &str = "SELECT clock_timestamp()";
const LOCK_HEAD: &str = "SELECT sequence, hash FROM journal_head FOR UPDATE";
const NAMES_TAKEN: &str = "SELECT kind, name FROM UNNEST($1::text[], $2::text[]) AS wanted (wanted_kind, wanted_name)
    JOIN organisation ON kind = wanted_kind AND name = wanted_name";
const ASSET_CODES_TAKEN: &str = "SELECT asset_code FROM UNNEST($1::text[]) AS wanted (wanted_code)
    JOIN product ON asset_code = wanted_code";
const ADDRESSES_TAKEN: &str = "SELECT address, investor_id FROM UNNEST($1::bytea[]) AS wanted (wanted_address)
    JOIN wallet ON address = wanted_address";

/// What the wanted rows refer to.
#[derive(Debug, Default)]
struct Resolved {
    products: BTreeSet<ProductId>,
    campaigns: BTreeSet<CampaignId>,
    investors: BTreeSet<InvestorId>,
    wallets: BTreeSet<WalletId>,
    investments: BTreeSet<InvestmentId>,
    credits: BTreeSet<CreditId>,
    instructions: BTreeSet<InstructionId>,
}

/// Loads everything that is wanted and what it refers to, in a new database transaction.
pub(super) async fn load(connection: &Object, wanted: &Wanted, answer_tables: &[String]) -> Result<Book, StoreError> {
    let resolved = resolve(connection, wanted).await?;
    let mut pipeline = Pipeline::default();
    let locked = Locked::ask(&mut pipeline, &resolved, wanted)?;
    let seen = Seen::ask(&mut pipeline, wanted, answer_tables)?;
    let answers = pipeline.query(connection).await?;
    let mut book = Book::default();
    locked.take(&answers, &resolved, &mut book)?;
    seen.take(&answers, &mut book)?;
    Ok(book)
}

async fn resolve(connection: &Object, wanted: &Wanted) -> Result<Resolved, StoreError> {
    let mut pipeline = Pipeline::default();
    pipeline.ask("database", "BEGIN ISOLATION LEVEL READ COMMITTED", Vec::new());
    let campaigns = ask_ids(&mut pipeline, "campaign", CAMPAIGN_PRODUCTS, wanted.campaigns.iter().map(|id| id.uuid()))?;
    let wallets = ask_ids(&mut pipeline, "wallet", WALLET_INVESTORS, wanted.wallets.iter().map(|id| id.uuid()))?;
    let credits = ask_ids(&mut pipeline, "credit", CREDIT_INVESTMENTS, wanted.credits.iter().map(|id| id.uuid()))?;
    let instructions =
        ask_ids(&mut pipeline, "instruction", INSTRUCTION_CREDITS, wanted.instructions.iter().map(|id| id.uuid()))?;
    let names_investments = !(wanted.investments.is_empty()
        && wanted.credits.is_empty()
        && wanted.instructions.is_empty()
        && wanted.investors_waiting.is_empty());
    let investments = if names_investments {
        let mut parameters = boxed([
            ColumnCells::of_ids(wanted.investments.iter().map(|id| id.uuid()))?,
            ColumnCells::of_ids(wanted.credits.iter().map(|id| id.uuid()))?,
            ColumnCells::of_ids(wanted.instructions.iter().map(|id| id.uuid()))?,
            ColumnCells::of_ids(wanted.investors_waiting.iter().map(|id| id.uuid()))?,
        ]);
        parameters.push(status_waiting());
        pipeline.ask("investment", INVESTMENT_REFERENCES, parameters)
    } else {
        Slot::NONE
    };
    let answers = pipeline.query(connection).await?;
    let mut resolved = Resolved { products: wanted.products.clone(), investors: wanted.investors.clone(), ..Resolved::default() };
    resolved.investors.extend(&wanted.investors_waiting);
    for row in answers.rows(campaigns) {
        resolved.campaigns.insert(id_at(row, 0)?);
        resolved.products.insert(id_at(row, 1)?);
    }
    for row in answers.rows(wallets) {
        resolved.wallets.insert(id_at(row, 0)?);
        resolved.investors.insert(id_at(row, 1)?);
    }
    for row in answers.rows(credits) {
        resolved.credits.insert(id_at(row, 0)?);
    }
    for row in answers.rows(instructions) {
        resolved.instructions.insert(id_at(row, 0)?);
        resolved.credits.insert(id_at(row, 1)?);
    }
    for row in answers.rows(investments) {
        resolved.investments.insert(id_at(row, 0)?);
        resolved.products.insert(id_at(row, 1)?);
        resolved.campaigns.insert(id_at(row, 2)?);
        resolved.investors.insert(id_at(row, 3)?);
    }
    Ok(resolved)
}

/// The statements that lock rows, in the order in which they lock.
struct Locked {
    products: Slot,
    campaigns: Slot,
    investors: Slot,
    wrapped_keys: Slot,
    wallets: Slot,
    investments: Slot,
    signed_documents: Slot,
    waiting: Slot,
    credits: Slot,
    instructions: Slot,
    claimed_instructions: Slot,
    ledger_transactions: Slot,
    signers: Slot,
    leases: Slot,
    engine_now: Slot,
    head: Slot,
}

impl Locked {
    fn ask(pipeline: &mut Pipeline, resolved: &Resolved, wanted: &Wanted) -> Result<Self, StoreError> {
        let products = lock::<domain::product::Product>(pipeline, resolved.products.iter().map(|id| id.uuid()))?;
        let campaigns = lock::<domain::campaign::Campaign>(pipeline, resolved.campaigns.iter().map(|id| id.uuid()))?;
        let investors = lock::<domain::investor::Investor>(pipeline, resolved.investors.iter().map(|id| id.uuid()))?;
        let wrapped_keys = ask_ids(pipeline, "subject_key", WRAPPED_KEYS, resolved.investors.iter().map(|id| id.uuid()))?;
        // Wallets are never changed: there is nothing to lock.
        let wallets = see::<domain::wallet::Wallet>(pipeline, resolved.wallets.iter().map(|id| id.uuid()))?;
        let investments = lock::<Investment>(pipeline, resolved.investments.iter().map(|id| id.uuid()))?;
        let signed = format!("{} ORDER BY investment_id, position", look_up::<SignedDocument>("investment_id", "uuid"));
        let signed_documents = ask_ids(pipeline, "signed_document", &signed, resolved.investments.iter().map(|id| id.uuid()))?;
        let waiting = if wanted.investors_waiting.is_empty() {
            Slot::NONE
        } else {
            let mut parameters = boxed([ColumnCells::of_ids(wanted.investors_waiting.iter().map(|id| id.uuid()))?]);
            parameters.push(status_waiting());
            pipeline.ask("investment", WAITING_INVESTMENTS, parameters)
        };
        Ok(Self {
            products,
            campaigns,
            investors,
            wrapped_keys,
            wallets,
            investments,
            signed_documents,
            waiting,
            credits: lock_credits(pipeline, resolved)?,
            instructions: lock::<Instruction>(pipeline, resolved.instructions.iter().map(|id| id.uuid()))?,
            claimed_instructions: claim_instructions(pipeline, &wanted.claimed_instructions)?,
            ledger_transactions: lock::<domain::ledger_transaction::LedgerTransaction>(
                pipeline,
                wanted.ledger_transactions.iter().map(|id| id.uuid()),
            )?,
            signers: lock_signers(pipeline, &wanted.signers)?,
            leases: lock_leases(pipeline, &wanted.lanes)?,
            engine_now: if wanted.lanes.is_empty() { Slot::NONE } else { pipeline.ask("lease", ENGINE_NOW, Vec::new()) },
            head: pipeline.ask("journal_head", LOCK_HEAD, Vec::new()),
        })
    }

    fn take(&self, answers: &Answers<Vec<Row>>, resolved: &Resolved, book: &mut Book) -> Result<(), StoreError> {
        fill(answers, self.products, &mut book.products, |row| row.id)?;
        fill(answers, self.campaigns, &mut book.campaigns, |row| row.id)?;
        fill(answers, self.investors, &mut book.investors, |row| row.id)?;
        for row in answers.rows(self.wrapped_keys) {
            book.wrapped_keys.insert(id_at(row, 0)?, bytes_at(row, 1)?.to_vec());
        }
        fill(answers, self.wallets, &mut book.wallets, |row| row.id)?;
        let mut signed: BTreeMap<InvestmentId, Vec<SignedDocument>> = BTreeMap::new();
        for row in answers.rows(self.signed_documents) {
            let document = SignedDocument::read(row)?;
            signed.entry(document.investment_id).or_default().push(document);
        }
        for row in answers.rows(self.investments) {
            let mut investment = Investment::read(row)?;
            investment.signed_documents = signed.remove(&investment.id).unwrap_or_default();
            book.investments.loaded(investment.id, investment);
        }
        for row in answers.rows(self.waiting) {
            // Made between resolving and locking: its campaign is not locked.
            if !resolved.investments.contains(&id_at(row, 0)?) {
                return Err(StoreError::Conflict("investment"));
            }
        }
        fill(answers, self.credits, &mut book.credits, |row| row.id)?;
        fill(answers, self.instructions, &mut book.instructions, |row| row.id)?;
        fill(answers, self.claimed_instructions, &mut book.instructions, |row| row.id)?;
        fill(answers, self.ledger_transactions, &mut book.ledger_transactions, |row| row.id)?;
        fill(answers, self.signers, &mut book.signers, |row| row.address)?;
        fill(answers, self.leases, &mut book.leases, |row| row.lane)?;
        for row in answers.rows(self.engine_now) {
            book.engine_now = row.time(0).map_err(|_| unreadable("lease"))?;
        }
        let head = answers.rows(self.head).first();
        book.journal_head = head_of(head.ok_or_else(|| StoreError::Engine("the database has no journal head".to_owned()))?)?;
        Ok(())
    }
}

/// The statements that read what is never changed, or asks whether something is taken.
struct Seen {
    organisations: Slot,
    clients: Slot,
    issuers: Slot,
    documents: Slot,
    listings: Slot,
    names: Slot,
    asset_codes: Slot,
    addresses: Slot,
    remembered: Vec<Slot>,
}

impl Seen {
    fn ask(pipeline: &mut Pipeline, wanted: &Wanted, answer_tables: &[String]) -> Result<Self, StoreError> {
        let remembered = answer_tables.iter().map(|table| ask_answers(pipeline, table, &wanted.answers));
        let remembered = remembered.collect::<Result<_, _>>()?;
        Ok(Self {
            organisations: see::<domain::organisation::Organisation>(pipeline, wanted.organisations.iter().map(|id| id.uuid()))?,
            clients: see::<domain::organisation::Client>(pipeline, wanted.clients.iter().map(|id| id.uuid()))?,
            issuers: see::<domain::product::Issuer>(pipeline, wanted.issuers.iter().map(|id| id.uuid()))?,
            documents: see::<domain::document::Document>(pipeline, wanted.documents.iter().map(|id| id.uuid()))?,
            listings: ask_listings(pipeline, &wanted.listings)?,
            names: ask_names(pipeline, &wanted.organisation_names)?,
            asset_codes: ask_texts(pipeline, "product", ASSET_CODES_TAKEN, wanted.asset_codes.iter())?,
            addresses: ask_addresses(pipeline, &wanted.addresses)?,
            remembered,
        })
    }

    fn take(&self, answers: &Answers<Vec<Row>>, book: &mut Book) -> Result<(), StoreError> {
        fill(answers, self.organisations, &mut book.organisations, |row| row.id)?;
        fill(answers, self.clients, &mut book.clients, |row| row.id)?;
        fill(answers, self.issuers, &mut book.issuers, |row| row.id)?;
        fill(answers, self.documents, &mut book.documents, |row| row.id)?;
        fill(answers, self.listings, &mut book.listings, crate::book::listing_key)?;
        for row in answers.rows(self.names) {
            let kind = OrganisationKind::from_code(text_at(row, 0)?).ok_or_else(|| unreadable("organisation"))?;
            book.organisation_names_taken.insert((kind, text_at(row, 1)?.to_owned()));
        }
        for row in answers.rows(self.asset_codes) {
            book.asset_codes_taken.insert(text_at(row, 0)?.to_owned());
        }
        for row in answers.rows(self.addresses) {
            let address = bytes_at(row, 0)?.try_into().map_err(|_| unreadable("wallet"))?;
            book.addresses_taken.insert(EvmAddress::new(address), id_at(row, 1)?);
        }
        // The day itself comes first and counts.
        for row in self.remembered.iter().flat_map(|slot| answers.rows(*slot)) {
            let (key, answer) = <(AnswerKey, Answer)>::read(row)?;
            book.answers.entry(key).or_insert(answer);
        }
        Ok(())
    }
}

/// A look-up of rows by an array of keys, one index search a key.
fn look_up<V: Decode>(key: &str, ty: &str) -> String {
    let (columns, table) = (V::COLUMNS.list(), V::COLUMNS.table);
    format!("SELECT {columns} FROM UNNEST($1::{ty}[]) AS wanted (wanted_key) JOIN {table} ON {key} = wanted_key")
}

/// Rows by id, without a lock.
fn see<V: Decode>(pipeline: &mut Pipeline, ids: impl ExactSizeIterator<Item = Uuid>) -> Result<Slot, StoreError> {
    ask_ids(pipeline, V::COLUMNS.table, &look_up::<V>("id", "uuid"), ids)
}

/// Rows by id, locked in the order of their ids.
fn lock<V: Decode>(pipeline: &mut Pipeline, ids: impl ExactSizeIterator<Item = Uuid>) -> Result<Slot, StoreError> {
    let table = V::COLUMNS.table;
    let sql = format!("{} ORDER BY id FOR NO KEY UPDATE OF {table}", look_up::<V>("id", "uuid"));
    ask_ids(pipeline, table, &sql, ids)
}

/// Credits that are wanted, and the newest of every investment.
fn lock_credits(pipeline: &mut Pipeline, resolved: &Resolved) -> Result<Slot, StoreError> {
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

fn lock_signers(pipeline: &mut Pipeline, addresses: &BTreeSet<EvmAddress>) -> Result<Slot, StoreError> {
    let look_up = look_up::<domain::ledger_transaction::Signer>("address", "bytea");
    ask_bytes(pipeline, "signer", &format!("{look_up} ORDER BY address FOR NO KEY UPDATE OF signer"), addresses)
}

/// Instructions that no other process is working on. Who works on one holds its lock until it is bound: waiting for that
/// would only find it taken.
fn claim_instructions(pipeline: &mut Pipeline, ids: &BTreeSet<InstructionId>) -> Result<Slot, StoreError> {
    let look_up = look_up::<Instruction>("id", "uuid");
    let sql = format!("{look_up} ORDER BY id FOR NO KEY UPDATE OF instruction {CLAIM}");
    ask_ids(pipeline, "instruction", &sql, ids.iter().map(|id| id.uuid()))
}

fn lock_leases(pipeline: &mut Pipeline, lanes: &BTreeSet<Lane>) -> Result<Slot, StoreError> {
    let sql = format!("{} ORDER BY lane FOR NO KEY UPDATE OF lease", look_up::<Lease>("lane", "text"));
    ask_texts(pipeline, "lease", &sql, lanes.iter().map(|lane| lane.code()))
}

fn ask_addresses(pipeline: &mut Pipeline, addresses: &BTreeSet<EvmAddress>) -> Result<Slot, StoreError> {
    ask_bytes(pipeline, "wallet", ADDRESSES_TAKEN, addresses)
}

fn ask_bytes(
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

fn ask_ids(
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

fn ask_texts(
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

fn ask_listings(pipeline: &mut Pipeline, keys: &BTreeSet<(ProductId, OrganisationId)>) -> Result<Slot, StoreError> {
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

fn ask_names(pipeline: &mut Pipeline, names: &BTreeSet<(OrganisationKind, String)>) -> Result<Slot, StoreError> {
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

fn ask_answers(pipeline: &mut Pipeline, table: &str, keys: &BTreeSet<AnswerKey>) -> Result<Slot, StoreError> {
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

fn status_waiting() -> BoxedParameter {
    Box::new(Parameter(Value::from(Status::KycPending.code())))
}

fn fill<K: Ord + Copy, V: Decode + Clone>(
    answers: &Answers<Vec<Row>>,
    slot: Slot,
    table: &mut Table<K, V>,
    key_of: impl Fn(&V) -> K,
) -> Result<(), StoreError> {
    for row in answers.rows(slot) {
        let row = V::read(row)?;
        table.loaded(key_of(&row), row);
    }
    Ok(())
}

fn id_at<T: From<Uuid>>(row: &Row, place: usize) -> Result<T, StoreError> {
    row.id(place).ok().flatten().map(T::from).ok_or_else(|| unreadable("database"))
}

fn text_at(row: &Row, place: usize) -> Result<&str, StoreError> {
    row.text(place).ok().flatten().ok_or_else(|| unreadable("database"))
}

fn bytes_at(row: &Row, place: usize) -> Result<&[u8], StoreError> {
    row.bytes(place).ok().flatten().ok_or_else(|| unreadable("database"))
}

fn unreadable(table: &str) -> StoreError {
    StoreError::Engine(format!("{table}: a value of another type"))
}

/// How the server works off every look-up by an array of keys, one text each.
#[cfg(test)]
pub(super) async fn plans(connection: &Object) -> Vec<String> {
    let signers = look_up::<domain::ledger_transaction::Signer>("address", "bytea");
    let by_id = [
        look_up::<domain::product::Product>("id", "uuid"),
        look_up::<domain::campaign::Campaign>("id", "uuid"),
        look_up::<domain::investor::Investor>("id", "uuid"),
        look_up::<domain::wallet::Wallet>("id", "uuid"),
        look_up::<Investment>("id", "uuid"),
        look_up::<SignedDocument>("investment_id", "uuid"),
        look_up::<domain::document::Document>("id", "uuid"),
        look_up::<Instruction>("id", "uuid"),
        look_up::<domain::ledger_transaction::LedgerTransaction>("id", "uuid"),
        CAMPAIGN_PRODUCTS.to_owned(),
        WALLET_INVESTORS.to_owned(),
        CREDIT_INVESTMENTS.to_owned(),
        INSTRUCTION_CREDITS.to_owned(),
        WRAPPED_KEYS.to_owned(),
    ];
    let mut plans = Vec::new();
    for sql in by_id.into_iter().chain([signers]) {
        let explained = sql.replace("$1::uuid[]", "ARRAY[gen_random_uuid()]").replace("$1::bytea[]", "ARRAY[''::bytea]");
        let rows = connection.query(&format!("EXPLAIN {explained}"), &[]).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        plans.push(format!("{sql}: {}", steps.join(" / ")));
    }
    plans
}

//! Resolving, locking and loading what a batch names.
//!
//! References never change, so what refers to what is found out without locks: a campaign's product and a wallet's
//! investor in the statement that locks them, what investments refer to in a flight before. Then rows are locked table by
//! table in the fixed order, ids ascending, and the journal's head last: from there on no other program commits, so what
//! is read without a lock after it (names, answers) stays as it was read.

use std::collections::{BTreeMap, BTreeSet};

use domain::document::SignedDocument;
use domain::ids::{CampaignId, CreditId, InstructionId, InvestmentId, InvestorId, ProductId, WalletId};
use domain::investment::Investment;
use domain::organisation::OrganisationKind;
use domain::wallet::EvmAddress;
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::cells::ColumnCells;
use super::super::connect::Connection;
use super::super::pipeline::{Answers, Pipeline, Slot};
use super::lookups::{
    ASSET_CODES_TAKEN, CREDIT_INVESTMENTS, ENGINE_NOW, INSTRUCTION_CREDITS, INVESTMENT_REFERENCES, LOCK_HEAD,
    WAITING_INVESTMENTS, ask_addresses, ask_answers, ask_ids, ask_listings, ask_names, ask_texts, ask_wrapped_keys,
    claim_instructions, lock, lock_credits, lock_investors, lock_leases, lock_products, lock_signers, look_up, see,
    status_waiting,
};
use super::sets::boxed;
use crate::book::{Book, Table, Wanted};
use crate::error::StoreError;
use crate::reader::head_of;
use crate::record::{Answer, AnswerKey};
use crate::rows::{Cells, Decode};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Rows by name: those that are wanted, and those that these refer to, but for what the locking statements find by
/// themselves.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) products: BTreeSet<ProductId>,
    pub(super) campaigns: BTreeSet<CampaignId>,
    pub(super) investors: BTreeSet<InvestorId>,
    pub(super) wallets: BTreeSet<WalletId>,
    pub(super) investments: BTreeSet<InvestmentId>,
    pub(super) credits: BTreeSet<CreditId>,
    pub(super) instructions: BTreeSet<InstructionId>,
}

impl Named {
    /// What is wanted, without what it refers to.
    fn of(wanted: &Wanted) -> Self {
        let mut investors = wanted.investors.clone();
        investors.extend(&wanted.investors_waiting);
        Self {
            products: wanted.products.clone(),
            campaigns: wanted.campaigns.clone(),
            investors,
            wallets: wanted.wallets.clone(),
            ..Self::default()
        }
    }
}

/// The statements that lock and read everything a batch works on, and how their answers become its book.
pub(super) struct Loading {
    pub(super) pipeline: Pipeline,
    reading: Reading,
}

/// How the answers of a loading become a book.
pub(super) struct Reading {
    named: Named,
    locked: Locked,
    seen: Seen,
}

impl Loading {
    /// In one flight, a new database transaction included; `None` where a flight before has to find out what is referred
    /// to.
    pub(super) fn at_once(wanted: &Wanted, answer_tables: &[String]) -> Result<Option<Self>, StoreError> {
        if names_investments(wanted) {
            return Ok(None);
        }
        let mut pipeline = Pipeline::default();
        pipeline.ask("database", BEGIN, Vec::new());
        Self::of(pipeline, Named::of(wanted), wanted, answer_tables).map(Some)
    }

    fn of(mut pipeline: Pipeline, named: Named, wanted: &Wanted, answer_tables: &[String]) -> Result<Self, StoreError> {
        let locked = Locked::ask(&mut pipeline, &named, wanted)?;
        let seen = Seen::ask(&mut pipeline, wanted, answer_tables)?;
        Ok(Self { pipeline, reading: Reading { named, locked, seen } })
    }

    /// The statements, and what to do with their answers.
    pub(super) fn into_parts(self) -> (Pipeline, Reading) {
        (self.pipeline, self.reading)
    }
}

impl Reading {
    /// The book.
    pub(super) fn take(&self, answers: &Answers) -> Result<Book, StoreError> {
        let mut book = Book::default();
        self.locked.take(answers, &self.named, &mut book)?;
        self.seen.take(answers, &mut book)?;
        Ok(book)
    }
}

/// Loads everything that is wanted and what it refers to, in a new database transaction.
pub(super) async fn load(connection: &Connection, wanted: &Wanted, answer_tables: &[String]) -> Result<Book, StoreError> {
    let loading = match Loading::at_once(wanted, answer_tables)? {
        Some(loading) => loading,
        None => Loading::of(Pipeline::default(), resolve(connection, wanted).await?, wanted, answer_tables)?,
    };
    let (pipeline, reading) = loading.into_parts();
    reading.take(&pipeline.run(connection).await?)
}

/// Whether anything is wanted that stands in an investment, whose references are in several tables.
fn names_investments(wanted: &Wanted) -> bool {
    !(wanted.investments.is_empty()
        && wanted.credits.is_empty()
        && wanted.instructions.is_empty()
        && wanted.investors_waiting.is_empty())
}

async fn resolve(connection: &Connection, wanted: &Wanted) -> Result<Named, StoreError> {
    let mut pipeline = Pipeline::default();
    pipeline.ask("database", BEGIN, Vec::new());
    let credits = ask_ids(&mut pipeline, "credit", CREDIT_INVESTMENTS, wanted.credits.iter().map(|id| id.uuid()))?;
    let instructions =
        ask_ids(&mut pipeline, "instruction", INSTRUCTION_CREDITS, wanted.instructions.iter().map(|id| id.uuid()))?;
    let mut parameters = boxed([
        ColumnCells::of_ids(wanted.investments.iter().map(|id| id.uuid()))?,
        ColumnCells::of_ids(wanted.credits.iter().map(|id| id.uuid()))?,
        ColumnCells::of_ids(wanted.instructions.iter().map(|id| id.uuid()))?,
        ColumnCells::of_ids(wanted.investors_waiting.iter().map(|id| id.uuid()))?,
    ]);
    parameters.push(status_waiting());
    let investments = pipeline.ask("investment", INVESTMENT_REFERENCES, parameters);
    let answers = pipeline.run(connection).await?;
    let mut named = Named::of(wanted);
    for row in answers.rows(credits) {
        named.credits.insert(id_at(row, 0)?);
    }
    for row in answers.rows(instructions) {
        named.instructions.insert(id_at(row, 0)?);
        named.credits.insert(id_at(row, 1)?);
    }
    for row in answers.rows(investments) {
        named.investments.insert(id_at(row, 0)?);
        named.products.insert(id_at(row, 1)?);
        named.campaigns.insert(id_at(row, 2)?);
        named.investors.insert(id_at(row, 3)?);
    }
    Ok(named)
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
    fn ask(pipeline: &mut Pipeline, resolved: &Named, wanted: &Wanted) -> Result<Self, StoreError> {
        let products = lock_products(pipeline, resolved)?;
        let campaigns = lock::<domain::campaign::Campaign>(pipeline, resolved.campaigns.iter().map(|id| id.uuid()))?;
        let investors = lock_investors(pipeline, resolved)?;
        let wrapped_keys = ask_wrapped_keys(pipeline, resolved)?;
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
            instructions: lock::<domain::instruction::Instruction>(pipeline, resolved.instructions.iter().map(|id| id.uuid()))?,
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

    fn take(&self, answers: &Answers, resolved: &Named, book: &mut Book) -> Result<(), StoreError> {
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

    fn take(&self, answers: &Answers, book: &mut Book) -> Result<(), StoreError> {
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

fn fill<K: Ord + Copy, V: Decode + Clone>(
    answers: &Answers,
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

//! What readers ask for: pages, filters and who looks.

use domain::ids::{CampaignId, InvestorId, OrganisationId, ProductId, WalletId};
use domain::instant::Instant;
use domain::instruction::Instruction;
use domain::investment::Status;
use domain::journal::Entry;
use domain::ledger_transaction::{Attempt, LedgerTransaction};
use uuid::Uuid;

/// What investments are counted by.
pub type InvestmentGroup = (OrganisationId, ProductId, CampaignId, Status);

/// The largest page.
pub const PAGE_ROWS_MAX: u32 = 200;

/// A place in a list that is ordered by creation, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// When the row at the place was created.
    pub created_at: Instant,
    /// Its id.
    pub id: Uuid,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The beginning.
    Start,
    /// What comes after a row.
    After(Position),
    /// What comes before a row.
    Before(Position),
}

/// A page that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Where it begins or ends.
    pub from: From,
    /// Rows at most.
    pub limit: u32,
}

/// A page of a list, oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// Rows in the whole list.
    pub count: u64,
    /// The rows.
    pub rows: Vec<T>,
    /// Whether rows come before the first.
    pub has_previous: bool,
    /// Whether rows come after the last.
    pub has_next: bool,
}

/// Whose eyes a list or an object is seen with. It stands in every query, so that a foreign object is not found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Viewer {
    /// A distribution platform.
    Platform(OrganisationId),
    /// An issuer-side organisation.
    Issuer(OrganisationId),
}

/// Which investments are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InvestmentFilter {
    /// Of this status.
    pub status: Option<Status>,
    /// In this campaign.
    pub campaign_id: Option<CampaignId>,
    /// Of this investor.
    pub investor_id: Option<InvestorId>,
    /// In this product.
    pub product_id: Option<ProductId>,
    /// That settle to this wallet.
    pub wallet_id: Option<WalletId>,
}

/// A ledger transaction with everything that was signed for it and everything in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveLedgerTransaction {
    /// The nonce slot.
    pub ledger_transaction: LedgerTransaction,
    /// Every signed version, oldest first.
    pub attempts: Vec<Attempt>,
    /// The instructions bound to it, in order of instruction.
    pub instructions: Vec<Instruction>,
}

/// How much ledger work is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerBacklog {
    /// Ledger transactions in flight.
    pub open_transactions: u64,
    /// Instructions that wait to be signed.
    pub queued_instructions: u64,
    /// Products whose credits rest.
    pub frozen_products: u64,
    /// When the oldest instruction that is not judged was ordered.
    pub oldest_processing_at: Option<Instant>,
}

/// A stored journal entry with the hash that was stored beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEntry {
    /// The entry as its columns say.
    pub entry: Entry,
    /// The stored hash.
    pub hash: [u8; 32],
}

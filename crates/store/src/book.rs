//! The rows that one batch of commands works on, in memory.

use std::collections::{BTreeMap, BTreeSet};

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::document::Document;
use domain::ids::{
    CampaignId, ClientId, CreditId, DocumentId, InstructionId, InvestmentId, InvestorId, IssuerId, LedgerTransactionId,
    OrganisationId, ProductId, WalletId,
};
use domain::instant::Instant;
use domain::instruction::Instruction;
use domain::investment::Investment;
use domain::investor::Investor;
use domain::journal::Head;
use domain::lease::{Lane, Lease};
use domain::ledger_transaction::{LedgerTransaction, Signer};
use domain::organisation::{Client, Organisation, OrganisationKind};
use domain::product::{Issuer, Listing, Product};
use domain::wallet::{EvmAddress, Wallet};

use crate::record::{Answer, AnswerKey};

/// What the commands of a batch name. The engine adds what those rows refer to: a campaign's product, an investment's
/// campaign, product, investor and newest credit, a credit's investment, an instruction's credit, and so on upwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// By id.
    pub organisations: BTreeSet<OrganisationId>,
    /// Is the name taken among organisations of the kind?
    pub organisation_names: BTreeSet<(OrganisationKind, String)>,
    /// By id.
    pub clients: BTreeSet<ClientId>,
    /// By id.
    pub issuers: BTreeSet<IssuerId>,
    /// By id.
    pub products: BTreeSet<ProductId>,
    /// Is the asset code taken?
    pub asset_codes: BTreeSet<String>,
    /// By product and platform.
    pub listings: BTreeSet<(ProductId, OrganisationId)>,
    /// By id; with the product.
    pub campaigns: BTreeSet<CampaignId>,
    /// By id; with the wrapped subject key.
    pub investors: BTreeSet<InvestorId>,
    /// Every investment of these investors that waits for identification, with what it refers to.
    pub investors_waiting: BTreeSet<InvestorId>,
    /// By id; with the investor.
    pub wallets: BTreeSet<WalletId>,
    /// Is the address taken?
    pub addresses: BTreeSet<EvmAddress>,
    /// By id.
    pub documents: BTreeSet<DocumentId>,
    /// By id; with signed documents, product, campaign, investor.
    pub investments: BTreeSet<InvestmentId>,
    /// By id; with the investment.
    pub credits: BTreeSet<CreditId>,
    /// By id; with the credit.
    pub instructions: BTreeSet<InstructionId>,
    /// By id, alone, without waiting for another process: an instruction that one is working on is not given.
    pub claimed_instructions: BTreeSet<InstructionId>,
    /// By id.
    pub ledger_transactions: BTreeSet<LedgerTransactionId>,
    /// By address.
    pub signers: BTreeSet<EvmAddress>,
    /// Who works on these lanes; with the database's time.
    pub lanes: BTreeSet<Lane>,
    /// Remembered answers, looked up in the day of `answers_day` and the day before.
    pub answers: BTreeSet<AnswerKey>,
    /// Days since 1970-01-01 of the batch.
    pub answers_day: i64,
}

/// A row that is guarded by a version: 0 is not stored yet.
pub trait Versioned {
    /// The version it was loaded with.
    fn version(&self) -> u64;
}

macro_rules! versioned {
    ($($row:ty),+) => {$(
        impl Versioned for $row {
            fn version(&self) -> u64 {
                self.version
            }
        }
    )+};
}

versioned!(Product, Campaign, Investor, Investment, Credit, Instruction, LedgerTransaction, Signer, Lease);

/// Rows of one table by key, with what each was before the batch.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    rows: BTreeMap<K, Slot<V>>,
    /// What was written since somebody took note.
    written: Vec<K>,
}

#[derive(Clone, Debug)]
struct Slot<V> {
    row: V,
    before: Option<V>,
    is_changed: bool,
}

/// A changed row.
#[derive(Debug)]
pub struct Change<'a, V> {
    /// As it shall be stored.
    pub row: &'a V,
    /// As it was loaded; `None` where it is new.
    pub before: Option<&'a V>,
}

impl<K: Ord + Copy, V: Clone> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Copy, V: Clone> Table<K, V> {
    /// A table without rows.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: BTreeMap::new(), written: Vec::new() }
    }

    /// The row as the commands before left it.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|slot| &slot.row)
    }

    /// The row as it was loaded, whatever the commands before made of it.
    #[must_use]
    pub fn as_loaded(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|slot| slot.before.as_ref().unwrap_or(&slot.row))
    }

    /// The row as it was before the batch, where the batch has changed it; `None` also where it is new.
    #[must_use]
    pub fn before(&self, key: &K) -> Option<&V> {
        self.rows.get(key).and_then(|slot| slot.before.as_ref())
    }

    /// The keys of what was written since this was asked last, in order.
    pub fn take_written(&mut self) -> Vec<K> {
        std::mem::take(&mut self.written)
    }

    /// Every row, keys ascending.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        self.rows.values().map(|slot| &slot.row)
    }

    /// Puts in a row as it stands in the database.
    pub fn loaded(&mut self, key: K, row: V) {
        self.rows.insert(key, Slot { before: None, row, is_changed: false });
    }

    /// Writes a row: new, or changed.
    pub fn put(&mut self, key: K, row: V) {
        self.written.push(key);
        match self.rows.get_mut(&key) {
            Some(slot) => {
                let previous = std::mem::replace(&mut slot.row, row);
                if !slot.is_changed {
                    slot.before = Some(previous);
                    slot.is_changed = true;
                }
            }
            None => {
                self.rows.insert(key, Slot { row, before: None, is_changed: true });
            }
        }
    }

    /// Whether a row is to be written.
    fn is_changed(&self) -> bool {
        self.rows.values().any(|slot| slot.is_changed)
    }

    /// The rows to be written, keys ascending.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_, V>> {
        self.rows.values().filter(|slot| slot.is_changed).map(|slot| Change { row: &slot.row, before: slot.before.as_ref() })
    }
}

/// Everything a batch works on.
#[derive(Clone, Debug)]
pub struct Book {
    /// Tenants.
    pub organisations: Table<OrganisationId, Organisation>,
    /// Which of the wanted names are taken.
    pub organisation_names_taken: BTreeSet<(OrganisationKind, String)>,
    /// OAuth clients.
    pub clients: Table<ClientId, Client>,
    /// Legal entities behind products.
    pub issuers: Table<IssuerId, Issuer>,
    /// Products.
    pub products: Table<ProductId, Product>,
    /// Which of the wanted asset codes are taken.
    pub asset_codes_taken: BTreeSet<String>,
    /// Listings by product and platform.
    pub listings: Table<(ProductId, OrganisationId), Listing>,
    /// Campaigns.
    pub campaigns: Table<CampaignId, Campaign>,
    /// Investors.
    pub investors: Table<InvestorId, Investor>,
    /// Subject keys of the investors, wrapped under the instance's key; absent where erased.
    pub wrapped_keys: BTreeMap<InvestorId, Vec<u8>>,
    /// Wallets.
    pub wallets: Table<WalletId, Wallet>,
    /// Which of the wanted addresses are taken, and by whom.
    pub addresses_taken: BTreeMap<EvmAddress, InvestorId>,
    /// Documents.
    pub documents: Table<DocumentId, Document>,
    /// Investments.
    pub investments: Table<InvestmentId, Investment>,
    /// Credits.
    pub credits: Table<CreditId, Credit>,
    /// Instructions.
    pub instructions: Table<InstructionId, Instruction>,
    /// Ledger transactions.
    pub ledger_transactions: Table<LedgerTransactionId, LedgerTransaction>,
    /// Signers.
    pub signers: Table<EvmAddress, Signer>,
    /// Leases by lane.
    pub leases: Table<Lane, Lease>,
    /// The database's own time, read once the leases are locked; where lanes are wanted.
    pub engine_now: Option<Instant>,
    /// Remembered answers.
    pub answers: BTreeMap<AnswerKey, Answer>,
    /// The journal's newest entry.
    pub journal_head: Head,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            organisations: Table::new(),
            organisation_names_taken: BTreeSet::new(),
            clients: Table::new(),
            issuers: Table::new(),
            products: Table::new(),
            asset_codes_taken: BTreeSet::new(),
            listings: Table::new(),
            campaigns: Table::new(),
            investors: Table::new(),
            wrapped_keys: BTreeMap::new(),
            wallets: Table::new(),
            addresses_taken: BTreeMap::new(),
            documents: Table::new(),
            investments: Table::new(),
            credits: Table::new(),
            instructions: Table::new(),
            ledger_transactions: Table::new(),
            signers: Table::new(),
            leases: Table::new(),
            engine_now: None,
            answers: BTreeMap::new(),
            journal_head: Head::EMPTY,
        }
    }
}

impl Book {
    /// Whether any row is to be written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let Self {
            organisations,
            organisation_names_taken: _,
            clients,
            issuers,
            products,
            asset_codes_taken: _,
            listings,
            campaigns,
            investors,
            wrapped_keys: _,
            wallets,
            addresses_taken: _,
            documents,
            investments,
            credits,
            instructions,
            ledger_transactions,
            signers,
            leases,
            engine_now: _,
            answers: _,
            journal_head: _,
        } = self;
        organisations.is_changed()
            || clients.is_changed()
            || issuers.is_changed()
            || products.is_changed()
            || listings.is_changed()
            || campaigns.is_changed()
            || investors.is_changed()
            || wallets.is_changed()
            || documents.is_changed()
            || investments.is_changed()
            || credits.is_changed()
            || instructions.is_changed()
            || ledger_transactions.is_changed()
            || signers.is_changed()
            || leases.is_changed()
    }
}

/// Listings are found by what they join, not by their id.
#[must_use]
pub fn listing_key(listing: &Listing) -> (ProductId, OrganisationId) {
    (listing.product_id, listing.platform_id)
}

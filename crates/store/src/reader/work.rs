//! What the background work reads: everything of everybody, in the order in which it is to be done.

use std::collections::BTreeMap;

use domain::campaign::Campaign;
use domain::credit::Credit;
use domain::ids::{CampaignId, InvestmentId, LedgerTransactionId, ProductId};
use domain::instant::Instant;
use domain::instruction::Instruction;
use domain::ledger_transaction::{Attempt, LedgerTransaction, Signer};
use domain::network::NetworkName;
use domain::product::Product;
use domain::wallet::{EvmAddress, Wallet};
use uuid::Uuid;

use super::Reader;
use super::snapshot::{IDS_MAX, Snapshot};
use crate::error::StoreError;
use crate::queries::{LedgerBacklog, LiveLedgerTransaction};
use crate::rows::Table;

impl Reader {
    /// The products whose token contract is not on their network yet, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn deploying_products(&self, network: &NetworkName) -> Result<Vec<Product>, StoreError> {
        let sql = format!("{} WHERE token_address IS NULL AND network = ? ORDER BY created_at, id", Product::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, [network.as_str().into()]))
    }

    /// The products of a network, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn products_of_network(&self, network: &NetworkName) -> Result<Vec<ProductId>, StoreError> {
        let sql = "SELECT id FROM product WHERE network = ? ORDER BY created_at, id";
        let ids: Vec<Uuid> = self.run(|snapshot| snapshot.column("product", sql, [network.as_str().into()]))?;
        Ok(ids.into_iter().map(ProductId::new).collect())
    }

    /// The products whose token stands on a network, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn deployed_products(&self, network: &NetworkName) -> Result<Vec<Product>, StoreError> {
        let sql =
            format!("{} WHERE token_address IS NOT NULL AND network = ? ORDER BY created_at, id", Product::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, [network.as_str().into()]))
    }

    /// The products whose credits rest, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn frozen_products(&self) -> Result<Vec<Product>, StoreError> {
        let sql = format!("{} WHERE frozen_at IS NOT NULL ORDER BY created_at, id", Product::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, []))
    }

    /// The units of a product that the register has delivered.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn units_delivered(&self, product_id: ProductId) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(coalesce(sum(units_delivered), 0) AS bigint) FROM investment_count WHERE product_id = ?";
        let sum = self.run(|snapshot| snapshot.value::<i64>("investment_count", sql, [product_id.uuid().into()]))?;
        Ok(sum.unwrap_or(0).unsigned_abs())
    }

    /// The newest credit of each of these investments that has one.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn newest_credits(&self, investments: &[InvestmentId]) -> Result<BTreeMap<InvestmentId, Credit>, StoreError> {
        let ids: Vec<Uuid> = investments.iter().map(|id| id.uuid()).collect();
        let mut newest = BTreeMap::new();
        self.run(|snapshot| {
            for chunk in ids.chunks(IDS_MAX) {
                let credits: Vec<Credit> = snapshot.rows_of("investment_id", chunk, "created_at, id")?;
                newest.extend(credits.into_iter().map(|credit| (credit.investment_id, credit)));
            }
            Ok(())
        })?;
        Ok(newest)
    }

    /// Whether a credit of a product succeeded in a block after this one. Reads the product's credits: for the rare case.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_succeeded_after(&self, product_id: ProductId, block_number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM credit WHERE product_id = ? AND block_number > ? LIMIT 1";
        let block_number = i64::try_from(block_number).unwrap_or(i64::MAX);
        self.run(|snapshot| snapshot.has_any(Credit::COLUMNS.table, sql, [product_id.uuid().into(), block_number.into()]))
    }

    /// A product's campaigns by the indexes that their investments' numbers begin with.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn campaigns_by_index(&self, product_id: ProductId) -> Result<Vec<(u32, CampaignId)>, StoreError> {
        let sql = format!("{} WHERE product_id = ? ORDER BY campaign_index", Campaign::COLUMNS.select());
        let campaigns: Vec<Campaign> = self.run(|snapshot| snapshot.rows(&sql, [product_id.uuid().into()]))?;
        Ok(campaigns.into_iter().map(|campaign| (campaign.index, campaign.id)).collect())
    }

    /// The wallet with an address, whoever owns it.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn wallet_at(&self, address: EvmAddress) -> Result<Option<Wallet>, StoreError> {
        let sql = format!("{} WHERE address = ?", Wallet::COLUMNS.select());
        let wallets: Vec<Wallet> = self.run(|snapshot| snapshot.rows(&sql, [address.into()]))?;
        Ok(wallets.into_iter().next())
    }

    /// Whether anything waits for a network or is on its way there. A signer serves one network, so what is on its way for
    /// another network may be said as well: it is as good a reason to look.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_ledger_work(&self, network: &NetworkName) -> Result<bool, StoreError> {
        let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM ledger_transaction WHERE state = 'live')
            OR EXISTS (SELECT 1 FROM instruction JOIN product ON product.id = product_id
                WHERE state = 'queued' AND network = ? AND frozen_at IS NULL)
            OR EXISTS (SELECT 1 FROM product WHERE network = ? AND token_address IS NULL)";
        let parameters = [network.as_str().into(), network.as_str().into()];
        self.run(|snapshot| snapshot.has_any(LedgerTransaction::COLUMNS.table, sql, parameters))
    }

    /// The products of a network that have instructions waiting, without those whose credits rest.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn products_with_queued_instructions(&self, network: &NetworkName) -> Result<Vec<ProductId>, StoreError> {
        let sql = "SELECT id FROM product WHERE network = ? AND frozen_at IS NULL AND EXISTS
            (SELECT 1 FROM instruction WHERE product_id = product.id AND state = 'queued') ORDER BY created_at, id";
        let ids: Vec<Uuid> = self.run(|snapshot| snapshot.column("product", sql, [network.as_str().into()]))?;
        Ok(ids.into_iter().map(ProductId::new).collect())
    }

    /// The first of a product's waiting instructions, in the order in which they were ordered.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn queued_instructions(&self, product_id: ProductId, limit: u32) -> Result<Vec<Instruction>, StoreError> {
        let sql = format!(
            "{} WHERE product_id = ? AND state = 'queued' ORDER BY created_at, id LIMIT ?",
            Instruction::COLUMNS.select()
        );
        self.run(|snapshot| snapshot.rows(&sql, [product_id.uuid().into(), limit.into()]))
    }

    /// The ledger transactions that can still change something, by signer and nonce, with their attempts (oldest first)
    /// and what is bound to them (in the order in which it was ordered).
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn live_ledger_transactions(&self) -> Result<Vec<LiveLedgerTransaction>, StoreError> {
        self.run(live_ledger_transactions)
    }

    /// The first nonce of a signer that is not reserved; 0 where it has reserved none.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn next_nonce(&self, signer: EvmAddress) -> Result<u64, StoreError> {
        let signers: Vec<Signer> = self.run(|snapshot| snapshot.rows(&Signer::COLUMNS.select(), []))?;
        Ok(signers.iter().find(|stored| stored.address == signer).map_or(0, |stored| stored.next_nonce))
    }

    /// What was signed from an instant on, oldest first.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn attempts_since(&self, from: Instant) -> Result<Vec<Attempt>, StoreError> {
        let sql = format!("{} WHERE created_at >= ? ORDER BY created_at, id", Attempt::COLUMNS.select());
        self.run(|snapshot| snapshot.rows(&sql, [from.into()]))
    }

    /// How much ledger work is open. What it reads is as much as is open, however large the register is.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn ledger_backlog(&self) -> Result<LedgerBacklog, StoreError> {
        self.run(ledger_backlog)
    }

    /// Whether a deployment of a product's token contract is on its way.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_live_deployment(&self, product_id: ProductId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM ledger_transaction
            WHERE state = 'live' AND purpose = 'deploy_token' AND product_id = ? LIMIT 1";
        self.run(|snapshot| snapshot.has_any(LedgerTransaction::COLUMNS.table, sql, [product_id.uuid().into()]))
    }

    /// Whether a deployment of the token factory is on its way.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn has_live_factory_deployment(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM ledger_transaction WHERE state = 'live' AND purpose = 'deploy_factory' LIMIT 1";
        self.run(|snapshot| snapshot.has_any(LedgerTransaction::COLUMNS.table, sql, []))
    }
}

fn ledger_backlog(snapshot: &Snapshot<'_>) -> Result<LedgerBacklog, StoreError> {
    let queued = "SELECT count(*) FROM instruction WHERE state = 'queued'";
    let oldest_queued = "SELECT created_at FROM instruction WHERE state = 'queued' ORDER BY created_at LIMIT 1";
    let oldest_bound = "SELECT created_at FROM instruction WHERE ledger_transaction_id IN
        (SELECT id FROM ledger_transaction WHERE state = 'live') ORDER BY created_at LIMIT 1";
    let live = "SELECT count(*) FROM ledger_transaction WHERE state = 'live'";
    let frozen = "SELECT count(*) FROM product WHERE frozen_at IS NOT NULL";
    let count = |table, sql| Ok::<_, StoreError>(snapshot.value::<i64>(table, sql, [])?.unwrap_or(0).unsigned_abs());
    let oldest = [oldest_queued, oldest_bound].map(|sql| snapshot.value::<Instant>("instruction", sql, []));
    let [oldest_queued, oldest_bound] = oldest;
    Ok(LedgerBacklog {
        open_transactions: count("ledger_transaction", live)?,
        queued_instructions: count("instruction", queued)?,
        frozen_products: count("product", frozen)?,
        oldest_processing_at: oldest_queued?.into_iter().chain(oldest_bound?).min(),
    })
}

fn live_ledger_transactions(snapshot: &Snapshot<'_>) -> Result<Vec<LiveLedgerTransaction>, StoreError> {
    let live = format!("{} WHERE state = 'live' ORDER BY signer, nonce", LedgerTransaction::COLUMNS.select());
    let found: Vec<LedgerTransaction> = snapshot.rows(&live, [])?;
    found
        .into_iter()
        .map(|ledger_transaction| {
            Ok(LiveLedgerTransaction {
                ledger_transaction,
                attempts: attempts_of(snapshot, ledger_transaction.id)?,
                instructions: instructions_of(snapshot, ledger_transaction.id)?,
            })
        })
        .collect()
}

fn attempts_of(snapshot: &Snapshot<'_>, id: LedgerTransactionId) -> Result<Vec<Attempt>, StoreError> {
    let select = Attempt::COLUMNS.select();
    snapshot.rows(&format!("{select} WHERE ledger_transaction_id = ? ORDER BY created_at, id"), [id.uuid().into()])
}

fn instructions_of(snapshot: &Snapshot<'_>, id: LedgerTransactionId) -> Result<Vec<Instruction>, StoreError> {
    let select = Instruction::COLUMNS.select();
    snapshot.rows(&format!("{select} WHERE ledger_transaction_id = ? ORDER BY created_at, id"), [id.uuid().into()])
}

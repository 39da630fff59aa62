//! Putting the factory and the tokens on the ledger.

use domain::ids::ProductId;
use domain::ledger_transaction::{LedgerTransaction, Purpose};
use domain::product::Product;
use domain::wallet::EvmAddress;
use ledger::contract::{
    self, Deployed, Terms, deploy_factory_data, deploy_factory_gas_limit, deploy_token_calldata, deploy_token_gas_limit,
    deployed_factory, deployed_token, token_salt,
};
use ledger::transaction::deployed_address;
use ledger::{Address, At, B256};
use store::Reader;
use store::queries::LiveLedgerTransaction;

use super::{Call, LedgerFault, LedgerWork};
use crate::operations::ledger::{CHAIN_SETTING, FACTORY_SETTING, RecordFactory, RecordToken, ReserveDeployment};
use crate::planted::Bug;

impl LedgerWork {
    /// The network's factory, once its code stands in a finalized block; ordered where it does not exist yet.
    pub(super) async fn factory(&mut self) -> Result<Option<Address>, LedgerFault> {
        if let Some(known) = self.pinned_factory {
            return Ok(Some(known));
        }
        if let Some(known) = self.read(|archive| archive.setting(FACTORY_SETTING)).await? {
            self.pinned_factory = Some(self.pin(&known).await?);
            return Ok(self.pinned_factory);
        }
        let live = self.read(Reader::live_ledger_transactions).await?;
        let Some(open) = live.into_iter().find(|open| open.ledger_transaction.purpose == Purpose::DeployFactory) else {
            let slot = self.reserve(Purpose::DeployFactory).await?;
            self.sign_store_send(&slot, factory_call()).await?;
            return Ok(None);
        };
        let slot = open.ledger_transaction;
        let address = deployed_address(self.signer.address(), slot.nonce);
        match deployed_factory(self.chain.as_ref(), address, At::Finalized).await? {
            Deployed::Absent => {
                self.repeat(&open, factory_call()).await?;
                Ok(None)
            }
            Deployed::Foreign { address, .. } => Err(LedgerFault::UnexpectedCode(address)),
            Deployed::Present { address } => {
                let record = RecordFactory {
                    chain_id: self.chain.chain_id(),
                    address: EvmAddress::new(address.0),
                    ledger_transaction_id: slot.id,
                };
                self.lane.record(record).await?;
                Ok(Some(address))
            }
        }
    }

    /// Compares the chain with the one that was pinned: its id, and the factory's code. Another chain is not signed for.
    async fn pin(&self, factory: &[u8]) -> Result<Address, LedgerFault> {
        let chain_id = self.read(|archive| archive.setting(CHAIN_SETTING)).await?;
        if chain_id.is_none_or(|pinned| pinned != self.chain.chain_id().to_be_bytes()) {
            return Err(LedgerFault::OtherChain(self.chain.chain_id()));
        }
        let address = Address(<[u8; 20]>::try_from(factory).map_err(|_| LedgerFault::OtherChain(self.chain.chain_id()))?);
        match deployed_factory(self.chain.as_ref(), address, At::Finalized).await? {
            Deployed::Present { address } => Ok(address),
            Deployed::Absent => Err(LedgerFault::OtherChain(self.chain.chain_id())),
            Deployed::Foreign { address, .. } => Err(LedgerFault::UnexpectedCode(address)),
        }
    }

    /// Orders the token of every product that waits for one, and records those that stand.
    pub(super) async fn deploy_tokens(&mut self, factory: Address) -> Result<(), LedgerFault> {
        let waiting = self.read(Reader::deploying_products).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let live = self.read(Reader::live_ledger_transactions).await?;
        for product in waiting {
            let purpose = Purpose::DeployToken(product.id);
            match live.iter().find(|open| open.ledger_transaction.purpose == purpose) {
                None => {
                    let slot = self.reserve(purpose).await?;
                    let call = self.token_call(factory, &product)?;
                    self.sign_store_send(&slot, call).await?;
                }
                Some(open) => self.look_at_token(factory, &product, open).await?,
            }
        }
        Ok(())
    }

    async fn look_at_token(
        &mut self,
        factory: Address,
        product: &Product,
        open: &LiveLedgerTransaction,
    ) -> Result<(), LedgerFault> {
        let salt = token_salt(product.id.bytes());
        match deployed_token(self.chain.as_ref(), factory, salt, At::Finalized).await? {
            Deployed::Absent => {
                let call = self.token_call(factory, product)?;
                self.repeat(open, call).await
            }
            Deployed::Foreign { address, .. } => Err(LedgerFault::UnexpectedCode(address)),
            Deployed::Present { address } => {
                let record = RecordToken {
                    product_id: product.id,
                    address: EvmAddress::new(address.0),
                    ledger_transaction_id: open.ledger_transaction.id,
                };
                self.lane.record(record).await?;
                tracing::info!(product_id = %product.id, token = %address, "a token contract stands on the ledger");
                Ok(())
            }
        }
    }

    /// Goes on with a slot: signs it where a crash came before the bytes were stored, else sends the same bytes again.
    pub(super) async fn repeat(&mut self, open: &LiveLedgerTransaction, call: Call) -> Result<(), LedgerFault> {
        match open.attempts.last() {
            None => self.sign_store_send(&open.ledger_transaction, call).await,
            Some(_) if Bug::NothingSentAgain.is_planted() => Ok(()),
            Some(attempt) => {
                self.send(&attempt.raw).await;
                Ok(())
            }
        }
    }

    async fn reserve(&mut self, purpose: Purpose) -> Result<LedgerTransaction, LedgerFault> {
        self.lane.record(ReserveDeployment { signer: self.registrar(), purpose }).await
    }

    fn token_call(&self, factory: Address, product: &Product) -> Result<Call, LedgerFault> {
        let data = deploy_token_calldata(token_salt(product.id.bytes()), &self.token_terms(product))?;
        Ok(Call { to: Some(factory), data, gas_limit: deploy_token_gas_limit() })
    }

    fn token_terms(&self, product: &Product) -> Terms {
        token_terms(product, self.signer.address())
    }

    /// The token of a product, where it stands on the ledger.
    pub(super) async fn token(&self, factory: Address, product_id: ProductId) -> Result<Option<Address>, LedgerFault> {
        Ok(contract::token_of(self.chain.as_ref(), factory, token_salt(product_id.bytes()), At::Finalized).await?)
    }
}

/// What a product's token is made from.
#[must_use]
pub(crate) fn token_terms(product: &Product, registrar: Address) -> Terms {
    let terms = &product.terms;
    let lock_in = terms.lock_in_until.map_or(0, |until| u64::try_from(until.seconds_floor()).unwrap_or(0));
    Terms {
        product_id: product.id.bytes(),
        name: terms.name.to_string(),
        symbol: terms.asset_code.as_str().to_owned(),
        cap_units: u128::from(terms.issuable_units_max.get()),
        terms_hash: B256(terms.terms_hash),
        lock_in_until_seconds: lock_in,
        registrar,
    }
}

fn factory_call() -> Call {
    Call { to: None, data: deploy_factory_data(), gas_limit: deploy_factory_gas_limit() }
}

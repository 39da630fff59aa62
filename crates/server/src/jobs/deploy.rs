//! Putting the tokens on the ledger.

use domain::ledger_transaction::{LedgerTransaction, Purpose};
use domain::product::Product;
use domain::wallet::EvmAddress;
use ledger::contract::{Deployed, Terms, deploy_token_calldata, deploy_token_gas_limit, deployed_token, token_salt};
use ledger::{Address, At, B256};
use store::Reader;
use store::queries::LiveLedgerTransaction;

use super::tend::Sight;
use super::{Call, LedgerFault, LedgerWork};
use crate::operations::ledger::{RecordToken, ReserveDeployment};

impl LedgerWork {
    /// Orders the token of every product that waits for one, and records those that stand.
    pub(super) async fn deploy_tokens(&mut self, factory: Address, sight: &Sight) -> Result<(), LedgerFault> {
        let network = self.network.clone();
        let waiting = self.read(move |archive| archive.deploying_products(&network)).await?;
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
                Some(open) => self.look_at_token(factory, &product, open, sight).await?,
            }
        }
        Ok(())
    }

    async fn look_at_token(
        &mut self,
        factory: Address,
        product: &Product,
        open: &LiveLedgerTransaction,
        sight: &Sight,
    ) -> Result<(), LedgerFault> {
        let salt = token_salt(product.id.bytes());
        match deployed_token(self.chain.as_ref(), factory, salt, At::Finalized).await? {
            Deployed::Absent => self.tend(open, sight, |work| work.token_call(factory, product)).await,
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

    pub(super) async fn reserve(&mut self, purpose: Purpose) -> Result<LedgerTransaction, LedgerFault> {
        self.lane.record(ReserveDeployment { signer: self.registrar(), purpose }).await
    }

    fn token_call(&self, factory: Address, product: &Product) -> Result<Call, LedgerFault> {
        let data = deploy_token_calldata(token_salt(product.id.bytes()), &self.token_terms(product))?;
        Ok(Call { to: Some(factory), data, gas_limit: deploy_token_gas_limit() })
    }

    fn token_terms(&self, product: &Product) -> Terms {
        token_terms(product, self.signer.address())
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

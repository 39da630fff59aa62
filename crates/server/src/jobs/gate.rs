//! The gate that ledger work passes before it signs anything: the network is the one that was meant.

use std::time::Duration;

use ledger::contract::{Deployed, deploy_factory_data, deploy_factory_gas_limit, deployed_factory, deployed_token, token_salt};
use ledger::signer::{IssuedToday, PolicedSigner};
use ledger::transaction::{decode, deployed_address};
use ledger::{Address, At};

use domain::ids::ProductId;
use domain::ledger_transaction::Purpose;
use store::Reader;

use super::{Call, LedgerFault, LedgerWork};
use crate::clock::day_of;
use crate::operations::network::{NetworkPin, OLD_FACTORY_SETTING, PinNetwork, pin_setting};

/// How often the network is compared with its pin. Its chain id and genesis are compared at every finalized block.
const COMPARE_EVERY: Duration = Duration::from_mins(1);

/// A pin that was compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pin: NetworkPin,
    /// When the network is compared again, by a clock that nobody turns.
    again_at: std::time::Instant,
}

impl LedgerWork {
    /// The network's pin, compared with what its nodes serve; `None` where it has none yet.
    pub(super) async fn pass_gate(&mut self) -> Result<Option<NetworkPin>, LedgerFault> {
        let now = self.clock.monotonic();
        if let Some(compared) = self.gate.filter(|compared| now < compared.again_at) {
            return Ok(Some(compared.pin));
        }
        self.gate = None;
        let name = pin_setting(&self.network);
        let stored = self.read(move |archive| archive.setting(&name)).await?;
        let pin = match stored {
            Some(stored) => NetworkPin::of_bytes(&stored).ok_or(LedgerFault::UnreadablePin)?,
            None => match self.old_pin().await? {
                Some(old) => old,
                None => return Ok(None),
            },
        };
        let own = self.signer.address();
        if pin.registrar != own {
            return Err(LedgerFault::OtherRegistrar { pinned: pin.registrar, own });
        }
        let faults = pin.pin().check(self.chain.as_ref()).await?;
        if !faults.is_empty() {
            return Err(LedgerFault::OtherNetwork(faults));
        }
        self.recall_todays_units().await?;
        self.signer.allow_factory(pin.factory);
        self.gate = Some(Compared { pin, again_at: now + COMPARE_EVERY });
        Ok(Some(pin))
    }

    /// What an older program remembered of the embedded ledger: the factory's address alone.
    async fn old_pin(&self) -> Result<Option<NetworkPin>, LedgerFault> {
        if !self.network.is_embedded() {
            return Ok(None);
        }
        let old = self.read(|archive| archive.setting(OLD_FACTORY_SETTING)).await?;
        let Some(factory) = old.and_then(|bytes| bytes.try_into().ok()).map(Address) else { return Ok(None) };
        let chain = self.chain.identity().await?;
        Ok(Some(NetworkPin { chain, factory, registrar: self.signer.address(), from_block: 0 }))
    }

    /// What was signed for earlier on the same day, where that is limited.
    async fn recall_todays_units(&mut self) -> Result<(), LedgerFault> {
        if self.policy.issued_units_per_day_max.is_none() || self.is_day_recalled {
            return Ok(());
        }
        let day = day_of(self.clock.now());
        let begin = domain::instant::Instant::from_micros(day.saturating_mul(24 * 60 * 60 * 1_000_000));
        let attempts = self.read(move |archive| archive.attempts_since(begin)).await?;
        let own = self.signer.address();
        let mut issued = IssuedToday { day: day.unsigned_abs(), ..IssuedToday::default() };
        for signed in attempts.iter().filter_map(|attempt| decode(&attempt.raw).ok()).filter(|signed| signed.sender == own) {
            let units = ledger::contract::issued_units(&signed.transaction.data).unwrap_or(0);
            let of_nonce = issued.units_by_nonce.entry(signed.transaction.nonce).or_default();
            *of_nonce = units.max(*of_nonce);
        }
        self.signer =
            std::sync::Arc::new(PolicedSigner::new(self.device.clone(), self.policy.signing(self.chain.chain_id()), issued));
        self.is_day_recalled = true;
        Ok(())
    }

    /// Deploys the network's factory: orders it where that was not done yet, and pins the network once its code stands in a
    /// finalized block. What was found.
    ///
    /// # Errors
    /// As [`LedgerWork::round`].
    pub(super) async fn deploy_factory(&mut self) -> Result<Option<NetworkPin>, LedgerFault> {
        let live = self.read(Reader::live_ledger_transactions).await?;
        let own = self.registrar();
        let open = live.into_iter().map(|open| (open.ledger_transaction, open));
        let mut open = open.filter(|(slot, _)| slot.signer == own && slot.purpose == Purpose::DeployFactory);
        let Some((slot, open)) = open.next() else {
            // No token was issued from: there is nothing to take over but the nonces.
            let used = self.chain.nonce(self.signer.address(), At::Head).await?;
            self.advance_nonce(used).await?;
            let slot = self.reserve(Purpose::DeployFactory).await?;
            self.sign_store_send(&slot, factory_call()).await?;
            return Ok(None);
        };
        let address = deployed_address(self.signer.address(), slot.nonce);
        let block = self.chain.finalized().await?;
        match deployed_factory(self.chain.as_ref(), address, At::Block(block.hash)).await? {
            Deployed::Absent => {
                let sight = self.sight().await?;
                self.tend(&open, &sight, |_| Ok(factory_call())).await?;
                Ok(None)
            }
            Deployed::Foreign { address, .. } => Err(LedgerFault::UnexpectedCode(address)),
            Deployed::Present { address } => {
                let chain = self.chain.identity().await?;
                let registrar = self.signer.address();
                let pin = NetworkPin { chain, factory: address, registrar, from_block: block.number };
                let record = PinNetwork { network: self.network.clone(), pin, deployment: Some(slot.id) };
                self.lane.record(record).await?;
                tracing::info!(network = %self.network, factory = %address, "the factory stands on the network");
                self.pass_gate().await
            }
        }
    }

    /// The token of a product, where it stands on the ledger and has the reviewed code.
    pub(super) async fn token(&mut self, factory: Address, product_id: ProductId) -> Result<Option<Address>, LedgerFault> {
        if let Some(known) = self.tokens.get(&product_id) {
            return Ok(Some(*known));
        }
        match deployed_token(self.chain.as_ref(), factory, token_salt(product_id.bytes()), At::Finalized).await? {
            Deployed::Absent => Ok(None),
            Deployed::Foreign { address, .. } => Err(LedgerFault::UnexpectedCode(address)),
            Deployed::Present { address } => {
                self.signer.allow_token(address);
                self.tokens.insert(product_id, address);
                Ok(Some(address))
            }
        }
    }
}

fn factory_call() -> Call {
    Call { to: None, data: deploy_factory_data(), gas_limit: deploy_factory_gas_limit() }
}

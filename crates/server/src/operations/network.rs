//! What a network is known by, once its factory stands.

use std::borrow::Cow;

use domain::ids::LedgerTransactionId;
use domain::network::NetworkName;
use ledger::pin::{Pin, PinnedContract};
use ledger::{Address, B256, ChainIdentity};
use serde::{Deserialize, Serialize};
use store::{Book, Setting, Wanted};

use super::ledger::CloseLedgerTransaction;
use super::{Context, Operation, Refused};

/// The name under which programs of older schemas remembered the factory's address on the embedded ledger.
pub const OLD_FACTORY_SETTING: &str = "ledger_factory";

/// The name under which a network's pin is remembered.
#[must_use]
pub fn pin_setting(network: &NetworkName) -> String {
    format!("ledger_pin.{network}")
}

/// What was found on a network when its factory was deployed. It has to be found again before anything is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkPin {
    /// Chain id and genesis.
    pub chain: ChainIdentity,
    /// Where the factory stands.
    pub factory: Address,
    /// Whose instructions its tokens carry out.
    pub registrar: Address,
    /// The finalized block at which the factory was found: no token is older.
    pub from_block: u64,
}

/// The stored form of a pin.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPin<'a> {
    chain_id: u64,
    genesis: Cow<'a, str>,
    factory: Cow<'a, str>,
    registrar: Cow<'a, str>,
    from_block: u64,
}

impl NetworkPin {
    /// What the ledger compares: the chain and its factory.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin { chain: self.chain, contracts: vec![PinnedContract::factory(self.factory)] }
    }

    /// The stored form: JSON, which a person can read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = StoredPin {
            chain_id: self.chain.chain_id,
            genesis: self.chain.genesis_hash.to_string().into(),
            factory: self.factory.to_string().into(),
            registrar: self.registrar.to_string().into(),
            from_block: self.from_block,
        };
        // Numbers and text: nothing that JSON could refuse.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads the stored form; `None` where it is none.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let stored: StoredPin<'_> = serde_json::from_slice(bytes).ok()?;
        let genesis_hash: B256 = stored.genesis.parse().ok()?;
        Some(Self {
            chain: ChainIdentity { chain_id: stored.chain_id, genesis_hash },
            factory: stored.factory.parse().ok()?,
            registrar: stored.registrar.parse().ok()?,
            from_block: stored.from_block,
        })
    }
}

/// Records that a network's factory stands in a finalized block, with what else the network is known by, and closes the
/// deployment, where there was one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinNetwork {
    /// The network.
    pub network: NetworkName,
    /// What was found.
    pub pin: NetworkPin,
    /// The deployment.
    pub deployment: Option<LedgerTransactionId>,
}

impl Operation for PinNetwork {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.ledger_transactions.extend(self.deployment);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        if let Some(ledger_transaction_id) = self.deployment {
            CloseLedgerTransaction { ledger_transaction_id }.run(book, cx)?;
        }
        cx.record.settings.push(Setting { name: pin_setting(&self.network).into(), value: self.pin.to_bytes() });
        Ok(())
    }
}

/// The name, before the network's, under which it is remembered that a network cannot be read.
pub const UNREADABLE_SETTING: &str = "ledger_unreadable.";

/// Whether a network's nodes can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// Since when none can, in microseconds since 1970; `None` while one can.
    pub since_micros: Option<i64>,
}

impl Unreadable {
    /// The name under which it is remembered of a network.
    #[must_use]
    pub fn setting(network: &NetworkName) -> String {
        format!("{UNREADABLE_SETTING}{network}")
    }

    /// Reads the stored form. It only says how something is shown, so what cannot be read counts as nothing.
    #[must_use]
    pub fn of_stored(stored: Option<&[u8]>) -> Self {
        stored.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }
}

/// Remembers that a network cannot be read, or that it can be read again.
#[derive(Clone, Debug)]
pub struct PutUnreadable {
    /// The network.
    pub network: NetworkName,
    /// What is remembered from now on.
    pub unreadable: Unreadable,
}

impl Operation for PutUnreadable {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        // A number or nothing: nothing that JSON could refuse.
        let value = serde_json::to_vec(&self.unreadable).unwrap_or_default();
        cx.record.settings.push(Setting { name: Unreadable::setting(&self.network).into(), value });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back_and_nothing_else_does() {
        let pin = NetworkPin {
            chain: ChainIdentity { chain_id: 137, genesis_hash: B256([1; 32]) },
            factory: Address([2; 20]),
            registrar: Address([3; 20]),
            from_block: 7,
        };
        assert_eq!(NetworkPin::of_bytes(&pin.to_bytes()), Some(pin));
        let text = String::from_utf8(pin.to_bytes()).unwrap();
        for wrong in ["", "{}", &text.replace("137", "-1"), &text.replace("0x02", "0x2"), &text.replace('}', ",\"more\":1}")] {
            assert_eq!(NetworkPin::of_bytes(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

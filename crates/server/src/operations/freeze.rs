//! Letting a product's credits rest while its ledger and the register differ, and letting them go on.

use domain::freeze::Freeze;
use domain::ids::ProductId;
use domain::product::{Inconsistent, Product};
use ledger::B256;
use ledger::contract::Checkpoint;
use serde::{Deserialize, Serialize};
use store::{Book, Setting, Wanted};
use subtle::ConstantTimeEq;

use super::{Context, Operation, Refused};
use crate::keyring::{KeyUse, Keyring, keyed_hash};

/// Up to where a product's records on the ledger were found in the register.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciled {
    /// The first block whose records were not compared.
    next_block: u64,
    /// The running hash before it, in hexadecimal digits.
    running_hash: String,
}

impl Reconciled {
    /// Up to a checkpoint.
    #[must_use]
    pub fn up_to(checkpoint: Checkpoint) -> Self {
        let Checkpoint { next_block, running_hash } = checkpoint;
        Self { next_block, running_hash: hex::encode(running_hash.0) }
    }

    /// Where the comparison goes on.
    ///
    /// # Errors
    /// The running hash is none.
    pub fn checkpoint(&self) -> Result<Checkpoint, Inconsistent> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.running_hash, &mut hash).map_err(|_| Inconsistent("setting.reconciled"))?;
        Ok(Checkpoint { next_block: self.next_block, running_hash: B256(hash) })
    }

    /// The name under which it is remembered of a product.
    #[must_use]
    pub fn setting(product_id: ProductId) -> String {
        format!("reconciled.{product_id}")
    }

    /// Reads the stored form; `None` where nothing was compared yet.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_stored(stored: Option<&[u8]>) -> Result<Option<Self>, Inconsistent> {
        stored.map(|bytes| serde_json::from_slice(bytes).map_err(|_| Inconsistent("setting.reconciled"))).transpose()
    }

    fn record(&self, product_id: ProductId, cx: &mut Context<'_>) {
        // Numbers and hexadecimal digits: nothing that JSON could refuse.
        let value = serde_json::to_vec(self).unwrap_or_default();
        cx.record.settings.push(Setting { name: Self::setting(product_id).into(), value });
    }
}

/// Numbers of a product's ledger that the register never gave, or gave otherwise, and with which an operator let credits go
/// on. They are signed: who can only write to the database cannot make `scrip verify` pass an order over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged {
    /// The numbers.
    pub numbers: Vec<u64>,
    /// HMAC-SHA256, in hexadecimal digits.
    mac: String,
}

impl Acknowledged {
    /// The name under which they are remembered of a product.
    #[must_use]
    pub fn setting(product_id: ProductId) -> String {
        format!("acknowledged.{product_id}")
    }

    /// Reads the stored form; none where nothing was acknowledged.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_stored(stored: Option<&[u8]>) -> Result<Self, Inconsistent> {
        stored
            .map_or(Ok(Self::default()), |bytes| serde_json::from_slice(bytes).map_err(|_| Inconsistent("setting.acknowledged")))
    }

    /// Reads the stored form, and whether this instance signed it.
    ///
    /// # Errors
    /// It is something else, or was not signed.
    pub fn of_signed(stored: Option<&[u8]>, product_id: ProductId, keyring: &Keyring) -> Result<Self, Inconsistent> {
        let found = Self::of_stored(stored)?;
        let is_signed = bool::from(mac(&found.numbers, product_id, keyring).as_bytes().ct_eq(found.mac.as_bytes()));
        if is_signed || found == Self::default() { Ok(found) } else { Err(Inconsistent("setting.acknowledged")) }
    }
}

fn mac(numbers: &[u64], product_id: ProductId, keyring: &Keyring) -> String {
    let numbers: Vec<[u8; 8]> = numbers.iter().map(|number| number.to_be_bytes()).collect();
    let parts = [&product_id.bytes()[..], numbers.as_flattened()];
    hex::encode(keyed_hash(&keyring.derive(KeyUse::Acknowledgements), &parts))
}

/// Remembers up to where register and ledger agree.
#[derive(Clone, Debug)]
pub struct PutReconciled {
    /// The product.
    pub product_id: ProductId,
    /// Up to where.
    pub reconciled: Reconciled,
}

impl Operation for PutReconciled {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        self.reconciled.record(self.product_id, cx);
        Ok(())
    }
}

/// Lets a product's credits rest; or says anew why they do, and that a wish to let them go on was not granted.
#[derive(Clone, Debug)]
pub struct FreezeProduct {
    /// The product.
    pub product_id: ProductId,
    /// Why, and since when.
    pub freeze: Freeze,
}

impl Operation for FreezeProduct {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        put_freeze(self.product_id, "freeze", Some(self.freeze.clone()), book, cx)
    }
}

/// Asks that a product's credits go on.
#[derive(Clone, Copy, Debug)]
pub struct AskRelease {
    /// The product.
    pub product_id: ProductId,
}

impl Operation for AskRelease {
    /// The product as it is now.
    type Output = Product;

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Product, Refused> {
        let mut product = book.products.get(&self.product_id).ok_or(Refused::NotFound)?.clone();
        if product.ask_release() {
            cx.journal(book, "ask_release", &product)?;
            book.products.put(product.id, product.clone());
        }
        Ok(product)
    }
}

/// Lets a product's credits go on.
#[derive(Clone, Debug)]
pub struct ReleaseProduct {
    /// The product.
    pub product_id: ProductId,
    /// Up to where its ledger was compared.
    pub reconciled: Reconciled,
    /// What was acknowledged before, as it is stored.
    pub stored: Option<Vec<u8>>,
    /// What is acknowledged besides.
    pub numbers: Vec<u64>,
}

impl Operation for ReleaseProduct {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        self.reconciled.record(self.product_id, cx);
        if !self.numbers.is_empty() {
            let known = Acknowledged::of_signed(self.stored.as_deref(), self.product_id, cx.keyring)?;
            let numbers = [known.numbers, self.numbers.clone()].concat();
            let acknowledged = Acknowledged { mac: mac(&numbers, self.product_id, cx.keyring), numbers };
            // Numbers and hexadecimal digits: nothing that JSON could refuse.
            let value = serde_json::to_vec(&acknowledged).unwrap_or_default();
            cx.record.settings.push(Setting { name: Acknowledged::setting(self.product_id).into(), value });
        }
        put_freeze(self.product_id, "release", None, book, cx)
    }
}

fn put_freeze(id: ProductId, act: &str, freeze: Option<Freeze>, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
    let mut product = book.products.get(&id).ok_or(Refused::NotFound)?.clone();
    product.freeze = freeze;
    cx.journal(book, act, &product)?;
    book.products.put(id, product);
    Ok(())
}

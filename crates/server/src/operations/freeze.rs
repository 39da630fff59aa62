//! Letting a product's credits rest while its ledger and the register differ, and letting them go on.

use domain::freeze::Freeze;
use domain::ids::ProductId;
use domain::product::{Inconsistent, Product};
use ledger::B256;
use ledger::contract::Checkpoint;
use serde::{Deserialize, Serialize};
use store::{Book, Setting, Wanted};

use super::{Context, Operation, Refused};

/// Up to where a product's records on the ledger were found in the register.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciled {
    /// The first block whose records were not compared.
    next_block: u64,
    /// The running hash before it, in hexadecimal digits.
    running_hash: String,
    /// Numbers of the ledger that the register never gave, or gave otherwise, and with which an operator let credits go on.
    pub acknowledged: Vec<u64>,
}

impl Reconciled {
    /// Up to a checkpoint.
    #[must_use]
    pub fn up_to(checkpoint: Checkpoint, acknowledged: Vec<u64>) -> Self {
        let Checkpoint { next_block, running_hash } = checkpoint;
        Self { next_block, running_hash: hex::encode(running_hash.0), acknowledged }
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
    /// Up to where its ledger was compared, and what of it was acknowledged.
    pub reconciled: Reconciled,
}

impl Operation for ReleaseProduct {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        self.reconciled.record(self.product_id, cx);
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

//! What a ledger carried out, record by record, against what the register ordered: for the continuous comparison of every
//! finalized block, and for `scrip verify`.

use std::collections::BTreeMap;

use domain::credit::{Credit, CreditState};
use domain::freeze::Difference;
use domain::ids::{InvestmentId, ProductId};
use ledger::Address;
use ledger::contract::{Item, Kind, Outcome, TrustedRecord};

/// Something that differs, with its figures for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What.
    pub difference: Difference,
    /// The same with its figures.
    pub detail: String,
}

/// What a record that the register ordered is to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// The credit succeeded by it.
    Settled,
    /// The credit is processing: the verdict follows.
    OnItsWay,
}

/// The records that changed the ledger.
pub fn applied(records: &[TrustedRecord]) -> impl Iterator<Item = &TrustedRecord> {
    records.iter().filter(|trusted| match trusted.record.outcome {
        Outcome::Applied => true,
        Outcome::AlreadyApplied | Outcome::Skipped(_) => false,
    })
}

/// The investment that a record names.
#[must_use]
pub const fn investment_of(item: &Item) -> InvestmentId {
    InvestmentId::new(uuid::Uuid::from_bytes(item.id))
}

/// Compares an applied record with the newest credit of the investment that it names.
///
/// # Errors
/// What differs.
pub fn compare_record(trusted: &TrustedRecord, product_id: ProductId, credit: Option<&Credit>) -> Result<Known, Finding> {
    let item = &trusted.record.item;
    let foreign = |detail| Err(Finding { difference: Difference::ForeignOrder, detail });
    if item.kind != Kind::Issue {
        return foreign(format!("the ledger holds an order of kind {:?} that nobody gave", item.kind));
    }
    let Some(credit) = credit else {
        return foreign(format!("the ledger issued investment {}, which has no credit", investment_of(item)));
    };
    let differs = |what: &str| {
        let detail = format!("credit {}: the ledger has {what}", credit.id);
        Err(Finding { difference: Difference::OtherOrder, detail })
    };
    if credit.product_id != product_id {
        return differs("it in another product's token");
    }
    if item.number != credit.number.get() {
        return differs("another number");
    }
    if item.units != u128::from(credit.units.get()) {
        return differs(&format!("{} units, the register {}", item.units, credit.units));
    }
    if item.account.0 != credit.address.bytes() {
        return differs("another address");
    }
    match credit.state {
        CreditState::Succeeded { transaction_hash, block_number, .. } => {
            if transaction_hash != trusted.tx_hash.0 || block_number != trusted.block.number {
                return differs("another ledger transaction");
            }
            Ok(Known::Settled)
        }
        CreditState::Processing => Ok(Known::OnItsWay),
        CreditState::Failed { .. } => differs("it although it failed"),
    }
}

/// Changes balances as an applied record changed them on the ledger.
pub fn carry_out(item: &Item, balances: &mut BTreeMap<Address, u128>) {
    let mut add = |account: Address, units: u128| {
        let balance = balances.entry(account).or_default();
        *balance = balance.saturating_add(units);
    };
    match item.kind {
        Kind::Issue => add(item.account, item.units),
        Kind::Withdraw | Kind::Redeem => take(balances, item.account, item.units),
        Kind::ForcedTransfer => {
            add(item.counterparty, item.units);
            take(balances, item.account, item.units);
        }
        Kind::Recover => {
            let units = balances.remove(&item.account).unwrap_or(0);
            let balance = balances.entry(item.counterparty).or_default();
            *balance = balance.saturating_add(units);
        }
        Kind::Block | Kind::Unblock | Kind::Freeze | Kind::Unfreeze | Kind::Register | Kind::SetReceiving | Kind::Unknown(_) => {}
    }
}

fn take(balances: &mut BTreeMap<Address, u128>, account: Address, units: u128) {
    let balance = balances.entry(account).or_default();
    *balance = balance.saturating_sub(units);
}

//! The register against the ledger: every delivered credit is an event of its token contract, every event a credit, and
//! every balance and the supply the sum of them.

use std::collections::BTreeMap;

use domain::credit::{Credit, CreditState};
use domain::ids::{CreditId, InvestmentId, ProductId};
use domain::network::NetworkName;
use domain::product::{Product, Token};
use ledger::contract::{
    Checkpoint, Kind, Outcome, TrustedRecord, balance_of, deployed_token, token_salt, total_supply, trusted_records,
};
use ledger::{Address, At, B256, Chain};
use store::Reader;

use super::{CHUNK_ROWS, Difference, Ledger, Report};
use crate::operations::network::{NetworkPin, OLD_FACTORY_SETTING, pin_setting};

/// The newest credit of each investment that excludes others: what may stand on the ledger.
type Credits = BTreeMap<InvestmentId, Credit>;

/// Compares every token contract with the register. `later` reads the database as it is after the ledger was copied.
///
/// # Errors
/// The first difference.
pub async fn compare(
    archive: &Reader,
    later: &Reader,
    ledgers: &BTreeMap<NetworkName, Ledger>,
    report: &mut Report,
) -> Result<(), Difference> {
    let credits = open_or_succeeded(archive)?;
    let mut credits_later: Option<Credits> = None;
    let mut after = None;
    loop {
        let products = archive.all_products(after, CHUNK_ROWS)?;
        let Some(last) = products.last() else { return Ok(()) };
        after = Some(last.id);
        for product in &products {
            let Token::Deployed(address) = product.token else { continue };
            let token = Address(address.bytes());
            let Some(Ledger { chain, pin }) = ledgers.get(&product.terms.network) else {
                report.tokens_elsewhere += 1;
                continue;
            };
            let (chain, pin) =
                (chain.as_ref(), pin.ok_or_else(|| Difference::Register("the factory's address is not known".into()))?);
            let records = read_records(chain, &pin, product, token).await?;
            let found = compare_records(&records, product, &credits, || {
                if credits_later.is_none() {
                    credits_later = Some(open_or_succeeded(later)?);
                }
                Ok(credits_later.clone().unwrap_or_default())
            })?;
            compare_balances(chain, product, token, &found, report).await?;
            report.tokens += 1;
            report.issues += found.len() as u64;
        }
    }
}

/// What a network is known by, compared with what it serves.
///
/// # Errors
/// It is another network.
pub async fn pin_of(
    archive: &Reader,
    network: &NetworkName,
    chain: &dyn Chain,
    registrar: Address,
) -> Result<Option<NetworkPin>, Difference> {
    let pin = match archive.setting(&pin_setting(network))? {
        Some(stored) => {
            let unreadable = || Difference::Register(format!("the pin of network {network} cannot be read"));
            Some(NetworkPin::of_bytes(&stored).ok_or_else(unreadable)?)
        }
        None if network.is_embedded() => match archive.setting(OLD_FACTORY_SETTING)?.and_then(|bytes| bytes.try_into().ok()) {
            Some(factory) => {
                Some(NetworkPin { chain: chain.identity().await?, factory: Address(factory), registrar, from_block: 0 })
            }
            None => None,
        },
        None => None,
    };
    if let Some(pin) = &pin
        && let Some(fault) = pin.pin().check(chain).await?.first()
    {
        return Err(Difference::Register(format!("network {network}: {fault}")));
    }
    Ok(pin)
}

fn open_or_succeeded(archive: &Reader) -> Result<Credits, Difference> {
    let mut credits = Credits::new();
    let mut after: Option<CreditId> = None;
    loop {
        let chunk = archive.all_credits(after, CHUNK_ROWS)?;
        let Some(last) = chunk.last() else { return Ok(credits) };
        after = Some(last.id);
        credits.extend(chunk.into_iter().filter(|c| c.state.excludes_another()).map(|c| (c.investment_id, c)));
    }
}

async fn read_records(
    chain: &dyn Chain,
    pin: &NetworkPin,
    product: &Product,
    token: Address,
) -> Result<Vec<TrustedRecord>, Difference> {
    let stands = deployed_token(chain, pin.factory, token_salt(product.id.bytes()), At::Finalized).await?;
    if stands != (ledger::contract::Deployed::Present { address: token }) {
        return Err(Difference::Register(format!("product {}: {token} is not its token contract", product.id)));
    }
    let finalized = chain.finalized().await?;
    let start = Checkpoint { next_block: pin.from_block, running_hash: B256::ZERO };
    Ok(trusted_records(chain, token, start, finalized).await?.records)
}

/// Units issued, by investment.
type Issued = BTreeMap<InvestmentId, (Address, u128)>;

fn compare_records(
    records: &[TrustedRecord],
    product: &Product,
    credits: &Credits,
    mut credits_later: impl FnMut() -> Result<Credits, Difference>,
) -> Result<Issued, Difference> {
    let mut issued = Issued::new();
    for trusted in records {
        match trusted.record.outcome {
            Outcome::Applied => {}
            Outcome::AlreadyApplied | Outcome::Skipped(_) => continue,
        }
        let item = &trusted.record.item;
        let id = InvestmentId::new(uuid::Uuid::from_bytes(item.id));
        if item.kind != Kind::Issue {
            return Err(Difference::Register(format!("the ledger holds an order of kind {:?} that nobody gave", item.kind)));
        }
        let known = match credits.get(&id) {
            Some(credit) => Some(*credit),
            None => credits_later()?.get(&id).copied(),
        };
        let credit =
            known.ok_or_else(|| Difference::Register(format!("the ledger issued investment {id}, which has no credit")))?;
        compare_one(trusted, product.id, &credit)?;
        if issued.insert(id, (item.account, item.units)).is_some() {
            return Err(Difference::Register(format!("investment {id} was issued twice")));
        }
    }
    for credit in credits.values().filter(|credit| credit.product_id == product.id) {
        let is_succeeded = matches!(credit.state, CreditState::Succeeded { .. });
        if is_succeeded && !issued.contains_key(&credit.investment_id) {
            let text = format!("credit {} succeeded, but the ledger does not hold it", credit.id);
            return Err(Difference::Register(text));
        }
    }
    Ok(issued)
}

fn compare_one(trusted: &TrustedRecord, product_id: ProductId, credit: &Credit) -> Result<(), Difference> {
    let item = &trusted.record.item;
    let differs = |what: &str| Err(Difference::Register(format!("credit {}: the ledger has {what}", credit.id)));
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
            Ok(())
        }
        // On its way: the verdict follows.
        CreditState::Processing => Ok(()),
        CreditState::Failed { .. } => differs("it although it failed"),
    }
}

async fn compare_balances(
    chain: &dyn Chain,
    product: &Product,
    token: Address,
    issued: &Issued,
    report: &mut Report,
) -> Result<(), Difference> {
    let mut due: BTreeMap<Address, u128> = BTreeMap::new();
    for (address, units) in issued.values() {
        *due.entry(*address).or_default() += units;
    }
    for (address, units) in &due {
        let balance = balance_of(chain, token, *address, At::Finalized).await?;
        if balance != *units {
            let text = format!("product {}: {address} holds {balance} units on the ledger, {units} were issued", product.id);
            return Err(Difference::Register(text));
        }
    }
    let sum: u128 = due.values().sum();
    let supply = total_supply(chain, token, At::Finalized).await?;
    if supply != sum {
        return Err(Difference::Register(format!("product {}: the supply is {supply}, {sum} units were issued", product.id)));
    }
    report.units += supply;
    Ok(())
}

//! The register against the ledger: every delivered credit is an event of its token contract, every event a credit, and
//! every balance and the supply the sum of them.

use std::collections::{BTreeMap, BTreeSet};

use domain::credit::{Credit, CreditState};
use domain::ids::{CreditId, InvestmentId};
use domain::network::NetworkName;
use domain::product::{Product, Token};
use ledger::contract::{Checkpoint, TrustedRecord, balance_of, deployed_token, token_salt, total_supply, trusted_records};
use ledger::{Address, At, B256, Chain};
use store::Reader;

use super::{CHUNK_ROWS, Difference, Ledger, Report};
use crate::keyring::Keyring;
use crate::operations::freeze::Acknowledged;
use crate::operations::network::{NetworkPin, OLD_FACTORY_SETTING, pin_setting};
use crate::reconciliation::{self, carry_out, compare_record, investment_of};

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
    keyring: &Keyring,
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
            if product.freeze.is_some() {
                continue;
            }
            let token = Address(address.bytes());
            let Some(Ledger { chain, pin }) = ledgers.get(&product.terms.network) else {
                report.tokens_elsewhere += 1;
                continue;
            };
            let (chain, pin) =
                (chain.as_ref(), pin.ok_or_else(|| Difference::Register("the factory's address is not known".into()))?);
            let records = read_records(chain, &pin, product, token).await?;
            let stored = archive.setting(&Acknowledged::setting(product.id))?;
            let acknowledged = Acknowledged::of_signed(stored.as_deref(), product.id, keyring)
                .map_err(|_| Difference::Register(format!("product {}: nobody acknowledged what is said to be", product.id)))?;
            let found = compare_records(&records, &acknowledged.numbers, product, &credits, || {
                if credits_later.is_none() {
                    credits_later = Some(open_or_succeeded(later)?);
                }
                Ok(credits_later.clone().unwrap_or_default())
            })?;
            compare_balances(chain, product, token, (&records, found.units), report).await?;
            report.tokens += 1;
            report.issues += found.investments.len() as u64;
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

/// What the ledger issued by orders of the register.
#[derive(Default)]
struct Issued {
    investments: BTreeSet<InvestmentId>,
    units: u128,
}

fn compare_records(
    records: &[TrustedRecord],
    acknowledged: &[u64],
    product: &Product,
    credits: &Credits,
    mut credits_later: impl FnMut() -> Result<Credits, Difference>,
) -> Result<Issued, Difference> {
    let mut issued = Issued::default();
    for trusted in reconciliation::applied(records) {
        let item = &trusted.record.item;
        if acknowledged.contains(&item.number) {
            continue;
        }
        let id = investment_of(item);
        let known = match credits.get(&id) {
            Some(credit) => Some(*credit),
            None => credits_later()?.get(&id).copied(),
        };
        // What is on its way gets its verdict later.
        let _known =
            compare_record(trusted, product.id, known.as_ref()).map_err(|finding| Difference::Register(finding.detail))?;
        if !issued.investments.insert(id) {
            return Err(Difference::Register(format!("investment {id} was issued twice")));
        }
        issued.units = issued.units.saturating_add(item.units);
    }
    for credit in credits.values().filter(|credit| credit.product_id == product.id) {
        let is_succeeded = matches!(credit.state, CreditState::Succeeded { .. });
        if is_succeeded && !issued.investments.contains(&credit.investment_id) {
            let text = format!("credit {} succeeded, but the ledger does not hold it", credit.id);
            return Err(Difference::Register(text));
        }
    }
    Ok(issued)
}

async fn compare_balances(
    chain: &dyn Chain,
    product: &Product,
    token: Address,
    (records, ordered): (&[TrustedRecord], u128),
    report: &mut Report,
) -> Result<(), Difference> {
    let mut due: BTreeMap<Address, u128> = BTreeMap::new();
    for trusted in reconciliation::applied(records) {
        carry_out(&trusted.record.item, &mut due);
    }
    for (address, units) in &due {
        let balance = balance_of(chain, token, *address, At::Finalized).await?;
        if balance != *units {
            let text = format!("product {}: {address} holds {balance} units on the ledger, {units} were issued", product.id);
            return Err(Difference::Register(text));
        }
    }
    // Foreign orders that were acknowledged must have cancelled each other out.
    let supply = total_supply(chain, token, At::Finalized).await?;
    if supply != ordered {
        let text = format!("product {}: the supply is {supply}, {ordered} units were issued", product.id);
        return Err(Difference::Register(text));
    }
    report.units += supply;
    Ok(())
}

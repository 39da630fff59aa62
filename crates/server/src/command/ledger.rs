//! `scrip ledger`: what operators do about networks and the products on them.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use domain::ids::ProductId;
use domain::network::NetworkName;
use domain::product::Product;

use super::{DataArgs, Failure, NetworkArgs, close, network_name};
use crate::operations::freeze::AskRelease;
use crate::program::{LEASE_DEFAULT_MS, Office, StartFault, initialise};

/// How often it is looked whether a server has answered a wish, and how often at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_MAX: u32 = 240;

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Deploys a network's factory, once, and remembers what the network is known by. Works while a server runs on the same
    /// data; prints `{network, chain_id, genesis, factory, registrar}`.
    Init {
        /// A network of the networks' file.
        #[arg(long, value_parser = network_name)]
        network: NetworkName,
        #[command(flatten)]
        networks: NetworkArgs,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Lets the credits of a product go on that rest because its ledger and the register differed. A running server compares
    /// them again before: while their units differ the credits keep resting. Prints what became of it.
    Release {
        /// The product.
        #[arg(long)]
        product_id: uuid::Uuid,
        #[command(flatten)]
        data: DataArgs,
    },
}

impl LedgerCommand {
    /// Does what is asked for.
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Init { network, networks, data } => initialise_network(&network, &networks, &data).await,
            Self::Release { product_id, data } => release(ProductId::new(product_id), &data).await,
        }
    }
}

async fn initialise_network(name: &NetworkName, networks: &NetworkArgs, data: &DataArgs) -> Result<ExitCode, Failure> {
    let networks = networks.read()?;
    let network = networks.iter().find(|network| network.name == *name);
    let network = network.ok_or_else(|| StartFault::UnknownNetwork(name.clone()))?;
    let office = Office::open(&data.data, data.database.as_deref())?;
    let initialised = initialise(&office, network, Duration::from_millis(LEASE_DEFAULT_MS)).await;
    let code = close(office, &data.data).await?;
    let pin = initialised?;
    let shown = serde_json::json!({
        "network": name.as_str(),
        "chain_id": pin.chain.chain_id,
        "genesis": pin.chain.genesis_hash.to_string(),
        "factory": pin.factory.to_string(),
        "registrar": pin.registrar.to_string(),
    });
    println!("{shown}");
    Ok(code)
}

/// Asks for a release, and waits for the server that works on the product's ledger to answer.
async fn release(product_id: ProductId, data: &DataArgs) -> Result<ExitCode, Failure> {
    let office = Office::open(&data.data, data.database.as_deref())?;
    let asked = office.desk.run(AskRelease { product_id }, office.clock.now()).await;
    let answered = match asked {
        Ok(product) => answer_to(&office, product).await,
        Err(fault) => Err(fault.into()),
    };
    close(office, &data.data).await?;
    let (outcome, code, product) = answered?;
    let freeze = product.freeze;
    let shown = serde_json::json!({
        "product_id": product_id.uuid(),
        "network": product.terms.network.as_str(),
        "outcome": outcome,
        "block_number": freeze.as_ref().map(|freeze| freeze.block_number),
        "difference": freeze.as_ref().map(|freeze| freeze.difference.code()),
        "detail": freeze.as_ref().map(|freeze| freeze.detail.as_str()),
    });
    println!("{shown}");
    Ok(code)
}

async fn answer_to(office: &Office, mut product: Product) -> Result<(&'static str, ExitCode, Product), Failure> {
    if product.freeze.is_none() {
        return Ok(("was_not_frozen", ExitCode::SUCCESS, product));
    }
    for _look in 0..LOOKS_MAX {
        product = office.archive.product_any(product.id)?.ok_or("the product is gone")?;
        match &product.freeze {
            None => return Ok(("released", ExitCode::SUCCESS, product)),
            Some(freeze) if !freeze.is_release_asked => return Ok(("still_differs", ExitCode::FAILURE, product)),
            Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Ok(("no_server_answered_yet", ExitCode::FAILURE, product))
}

//! `bench seed`: a register with as many investments as wanted, for measurements at size.
//!
//! Everything is made by the operations of the API on the program's own desk, with the rules, the journal and the counters
//! of every other write; only the commits are larger. What costs the most is left out because it is not there in a register
//! that has grown over years: HTTP, and answers remembered for a day. Nothing is credited: the embedded ledger would have to
//! hold the units.

mod chunk;
mod folder;
mod schedule;
mod town;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use domain::instant;
use domain::network::NetworkName;
use server::clock::Clock;
use server::documents::DocumentFolder;
use server::entropy::Entropy;
use server::http::Doors;
use server::jobs::head;
use server::operations::sandbox::SettleSandbox;
use server::program::{Office, Running, Settings};
use store::sqlite::ProcessLock;

use crate::Failure;
use crate::progress::Bar;
use crate::statistics::per_second;

use schedule::Schedule;
use town::{Builder, Town};

pub use folder::{EngineName, Manifest, Seeded};

/// The most units of one investment.
const UNITS_MAX_OF_ONE: u64 = 100;
/// Campaigns of a seeded register.
const CAMPAIGNS: u64 = 50;
/// Over how long its investments are spread, in microseconds: 400 days.
const SPAN_MICROS: i64 = 400 * 24 * 60 * 60 * 1_000_000;
/// What everything that is drawn is drawn from.
const SEED: [u8; 32] = *b"the same register on each engine";
/// How long token contracts may take to be deployed.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often that is looked at.
const DEPLOY_POLL: Duration = Duration::from_millis(20);
/// Investors and campaigns of the sandbox's platform that the measurements go round.
const SAMPLES: usize = 1_000;

/// What to make, and where.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// Which engine holds the register.
    #[arg(long, value_enum)]
    engine: EngineName,
    /// How many investments; rounded up to a multiple of fifty.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    investments: u64,
    /// A new folder. Ten million investments take about 11 GB.
    #[arg(long)]
    into: PathBuf,
    /// Where the database's programs are [default: the newest of Debian's, else the search path].
    #[arg(long)]
    postgres_programs: Option<PathBuf>,
    /// Checks everything afterwards, as `scrip verify` does.
    #[arg(long)]
    verify: bool,
}

/// Makes the register.
pub async fn seed(args: SeedArgs) -> Result<(), Failure> {
    let seeded = Seeded::make(&args.into, args.engine)?;
    let mut opened = seeded.open(args.postgres_programs).await?;
    let began = Instant::now();
    let manifest = fill(&mut opened.place, args.engine, args.investments).await?;
    if let Some(cluster) = &opened.cluster {
        cluster.settle(folder::DATABASE).await?;
    }
    let elapsed = began.elapsed();
    println!(
        "{} investments of {} investors in {} s ({} per second) in {}",
        manifest.investments,
        manifest.investors,
        elapsed.as_secs(),
        per_second(manifest.investments, elapsed),
        args.into.display()
    );
    if args.verify {
        let began = Instant::now();
        let report = server::verify::verify(&opened.place.data, opened.place.database.as_deref()).await?;
        println!("{report}, in {} s", began.elapsed().as_secs());
    }
    opened.close().await?;
    // Last: a folder without it was not finished.
    seeded.write(&manifest)
}

/// Fills an empty place with at least so many investments.
pub async fn fill(place: &mut crate::sandbox::Place, engine: EngineName, investments: u64) -> Result<Manifest, Failure> {
    let sales_per_site = investments.div_ceil(CAMPAIGNS);
    std::fs::create_dir_all(&place.data)?;
    let lock = ProcessLock::take(&place.data)?;
    let office = Office::open(&place.data, place.database.as_deref())?;
    let ends_at = Clock::default().now();
    let begins_at = instant::Instant::from_micros(ends_at.micros().saturating_sub(SPAN_MICROS));
    let inhabitants = office.desk.run(SettleSandbox { network: NetworkName::embedded() }, begins_at).await?;
    let mut entropy = Entropy::from_seed(SEED);
    let life = uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid();
    let (documents, _nothing_left) = DocumentFolder::open(&place.data.join("documents"), life)?;
    let mut builder = Builder { office: &office, entropy: &mut entropy, documents: &documents, now: begins_at };
    let town = builder.town(&inhabitants, usize::try_from(CAMPAIGNS)?, sales_per_site).await?;
    let mut schedule = Schedule::new(&town, sales_per_site, [begins_at, ends_at], entropy.bytes());
    let bar = Bar::new("investments", schedule.sales())?;
    let mut investors = 1;
    while let Some(chunk) = schedule.chunk() {
        let (sales, ends_at) = (chunk.sales.len() as u64, chunk.ends_at().map_err(|fault| fault.to_string())?);
        investors += chunk.arrivals.len() as u64;
        schedule.identified(office.desk.run(chunk, ends_at).await?);
        bar.advance(sales);
    }
    bar.finish();
    let manifest = manifest(engine, &town, &schedule, investors);
    let head_path = head::default_path(&place.data);
    tokio::task::spawn_blocking(move || office.close(&head_path)).await?;
    drop(lock);
    deploy(place).await?;
    Ok(manifest)
}

/// Lets the program put the token contracts on its ledger.
async fn deploy(place: &crate::sandbox::Place) -> Result<(), Failure> {
    let settings = Settings {
        data: place.data.clone(),
        database: place.database.clone(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        doors: Doors::Sandbox,
        ..Settings::default()
    };
    let running = Running::start(&settings).await?;
    let began = Instant::now();
    let deployed = loop {
        if running.office.archive.deploying_products(&NetworkName::embedded())?.is_empty() {
            break Ok(());
        }
        if began.elapsed() > DEPLOY_TIMEOUT {
            break Err("the token contracts were not deployed".into());
        }
        tokio::time::sleep(DEPLOY_POLL).await;
    };
    running.stop().await;
    deployed
}

fn manifest(engine: EngineName, town: &Town, schedule: &Schedule, investors: u64) -> Manifest {
    let own = 0;
    let accounts = schedule.accounts(own);
    // Evenly over everybody: those who signed up first and last alike.
    let stride = (accounts.len() / SAMPLES).max(1);
    let sampled = accounts.iter().step_by(stride).take(SAMPLES);
    let (investor_ids, wallet_ids) =
        sampled.map(|account| (account.investor_id.to_string(), account.wallet_id.to_string())).unzip();
    let sold_by_own = town.sites.iter().filter(|site| site.platform == own);
    Manifest {
        form: folder::FORM,
        engine,
        investments: schedule.sales(),
        investors,
        product_id: town.product_id.to_string(),
        campaign_ids: sold_by_own.map(|site| site.campaign_id.to_string()).collect(),
        investor_ids,
        wallet_ids,
    }
}

#[cfg(test)]
mod tests;

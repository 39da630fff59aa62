//! A program that starts on nothing: how soon the first investment is delivered, how little memory it keeps, and how fast it
//! credits.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::correctness::{self, Intents, Sold};
use crate::engine::{Bench, DURATION_MAX, Sizes};
use crate::findings::{Check, Load, Newcomer};
use crate::load::{Pace, Shape};
use crate::process::resident_kib;
use crate::sandbox::{Place, Sandbox, Side, text};
use crate::statistics::{micros, per_second};
use crate::traffic::{self, Papers};

/// Units of the one campaign: all of the seeded product.
const ALLOCATION: u64 = 1_000_000;
/// How long one investment may take to be delivered, and how long no credit at all may be.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(1);
/// How often the first delivery is looked for.
const FIRST_POLL: Duration = Duration::from_millis(1);
/// How often the number of deliveries is looked at: rarely, because looking costs the server too.
const COUNT_POLL: Duration = Duration::from_millis(20);

/// Runs everything on one fresh place.
pub async fn newcomer(bench: &Bench<'_>, place: Place, checks: &mut Vec<Check>) -> Result<Newcomer, Failure> {
    let sizes = bench.sizes;
    bench.step("start to first DELIVERED");
    let began = Instant::now();
    let (mut sandbox, campaign_id, papers) = start(bench, place).await?;
    let first_delivered_us = micros(began.elapsed());

    bench.step("memory when idle");
    tokio::time::sleep(sizes.idle).await;
    let idle_resident_kib = resident_kib(sandbox.pid())?;

    let creates_paid = create_paid(bench, &mut sandbox, &campaign_id, &papers).await?;
    let credited = credit(bench, &mut sandbox, campaign_id, &creates_paid, checks).await?;
    let place = sandbox.stop().await?;
    bench.step("scrip verify");
    checks.push(correctness::verify(bench.scrip, &place).await?);
    Ok(Newcomer {
        first_delivered_us,
        idle_s: sizes.idle.as_secs(),
        idle_resident_kib,
        creates_paid,
        credit_orders: credited.credit_orders,
        credits: credited.credits,
        credits_elapsed_us: micros(credited.elapsed),
        credits_per_second: per_second(credited.credits, credited.elapsed),
    })
}

/// What crediting many investments came to.
pub struct Credited {
    /// The POSTs that order the credits.
    pub credit_orders: Load,
    /// Credits that were delivered.
    pub credits: u64,
    /// From the first POST of a credit until the last was delivered.
    pub elapsed: Duration,
}

/// Makes paid investments on a campaign.
pub async fn create_paid(bench: &Bench<'_>, sandbox: &mut Sandbox, campaign_id: &str, papers: &Papers) -> Result<Load, Failure> {
    let Sizes { connections, credits, .. } = bench.sizes;
    let shape = Shape { connections, duration: DURATION_MAX, requests_max: credits, pace: Pace::Closed };
    let make = traffic::paid_creates(sandbox, "paid", campaign_id, papers)?;
    bench.load(sandbox, "creates of paid investments", shape, make).await
}

/// Orders a credit of each paid investment of a campaign on which one is delivered, and waits until all are delivered.
pub async fn credit(
    bench: &Bench<'_>,
    sandbox: &mut Sandbox,
    campaign_id: String,
    creates_paid: &Load,
    checks: &mut Vec<Check>,
) -> Result<Credited, Failure> {
    let ids = traffic::ids(sandbox, "&status=PAID", usize::try_from(bench.sizes.credits)?).await?;
    let make = traffic::credit_orders(sandbox, &ids)?;
    let requests_max = u64::try_from(ids.len())?;
    let shape = Shape { connections: bench.sizes.connections, duration: DURATION_MAX, requests_max, pace: Pace::Closed };
    let began = Instant::now();
    let credit_orders = bench.load(sandbox, "credits", shape, make).await?;
    let credits = wait_for_deliveries(sandbox, credit_orders.succeeded + 1).await? - 1;
    let elapsed = began.elapsed();
    let campaigns = [Sold { campaign_id, allocation: ALLOCATION }];
    let mut intents = Intents::of(&[creates_paid]);
    intents.acknowledged += 1;
    checks.push(correctness::creates(sandbox, "paid creates are there once", &campaigns, intents).await?);
    checks.push(correctness::credits(Intents::of(&[&credit_orders]), credits)?);
    Ok(Credited { credit_orders, credits, elapsed })
}

/// A sandbox on a fresh place, with a campaign on which one investment is delivered.
pub async fn start(bench: &Bench<'_>, place: Place) -> Result<(Sandbox, String, Papers), Failure> {
    let mut sandbox = Sandbox::start(bench.scrip, place, bench.folder).await?;
    let campaign_id = sandbox.campaign("Credits", ALLOCATION).await?;
    let papers = Papers::upload(&mut sandbox).await?;
    deliver_one(&mut sandbox, &campaign_id, &papers).await?;
    Ok((sandbox, campaign_id, papers))
}

async fn deliver_one(sandbox: &mut Sandbox, campaign_id: &str, papers: &Papers) -> Result<(), Failure> {
    let body = papers.paid_investment(sandbox, campaign_id);
    let created = sandbox.post(Side::Distributor, "/api/distributor/v2/investments/", &body).await?;
    let path = format!("/api/distributor/v2/investments/{}/", text(&created, "id")?);
    sandbox.post_empty(&format!("{path}credits/")).await?;
    let began = Instant::now();
    while began.elapsed() < DELIVERY_TIMEOUT {
        if sandbox.get(&path).await?["status"] == "DELIVERED" {
            return Ok(());
        }
        tokio::time::sleep(FIRST_POLL).await;
    }
    Err("the first investment was not delivered".into())
}

/// Waits until so many investments are delivered, or nothing moves any more; gives how many are.
async fn wait_for_deliveries(sandbox: &mut Sandbox, wanted: u64) -> Result<u64, Failure> {
    let (mut delivered, mut moved) = (0, Instant::now());
    while delivered < wanted && moved.elapsed() < DELIVERY_TIMEOUT {
        let now = sandbox.count("&status=DELIVERED").await?;
        if now > delivered {
            (delivered, moved) = (now, Instant::now());
        }
        if delivered < wanted {
            tokio::time::sleep(COUNT_POLL).await;
        }
    }
    Ok(delivered)
}

//! A program that starts on nothing: how soon the first investment is delivered, how little memory it keeps, and how fast it
//! credits.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::correctness::{self, Intents, Sold};
use crate::engine::{Bench, DURATION_MAX};
use crate::findings::{Check, Newcomer};
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
    let mut sandbox = Sandbox::start(bench.scrip, place, bench.folder).await?;
    let campaign_id = sandbox.campaign("Credits", ALLOCATION).await?;
    let papers = Papers::upload(&mut sandbox).await?;
    deliver_one(&mut sandbox, &campaign_id, &papers).await?;
    let first_delivered_us = micros(began.elapsed());

    bench.step("memory when idle");
    tokio::time::sleep(sizes.idle).await;
    let idle_resident_kib = resident_kib(sandbox.pid())?;

    let shape = Shape { connections: sizes.connections, duration: DURATION_MAX, requests_max: sizes.credits, pace: Pace::Closed };
    let make = traffic::paid_creates(&sandbox, "paid", &campaign_id, &papers)?;
    let creates_paid = bench.load(&sandbox, "creates of paid investments", shape, make).await?;
    let ids = traffic::ids(&mut sandbox, "&status=PAID", usize::try_from(sizes.credits)?).await?;
    let make = traffic::credit_orders(&sandbox, &ids)?;
    let began = Instant::now();
    let shape = Shape { requests_max: u64::try_from(ids.len())?, ..shape };
    let credit_orders = bench.load(&sandbox, "credits", shape, make).await?;
    let delivered = wait_for_deliveries(&mut sandbox, credit_orders.succeeded + 1).await? - 1;
    let elapsed = began.elapsed();

    let campaigns = [Sold { campaign_id, allocation: ALLOCATION }];
    let mut intents = Intents::of(&[&creates_paid]);
    intents.acknowledged += 1;
    checks.push(correctness::creates(&mut sandbox, "paid creates are there once", &campaigns, intents).await?);
    checks.push(correctness::credits(Intents::of(&[&credit_orders]), delivered)?);
    let place = sandbox.stop().await?;
    bench.step("scrip verify");
    checks.push(correctness::verify(bench.scrip, &place).await?);
    Ok(Newcomer {
        first_delivered_us,
        idle_s: sizes.idle.as_secs(),
        idle_resident_kib,
        creates_paid,
        credit_orders,
        credits: delivered,
        credits_elapsed_us: micros(elapsed),
        credits_per_second: per_second(delivered, elapsed),
    })
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

//! The same loads on a register with few investments and on one with many, both made by `bench seed`.

use crate::Failure;
use crate::correctness::{self, Intents};
use crate::engine::Bench;
use crate::findings::{AtSize, Check, PageLoad};
use crate::load::RequestMaker;
use crate::process::resident_kib;
use crate::sandbox::{Place, Sandbox};
use crate::seed::Manifest;
use crate::traffic;

/// Steps that one size shows.
pub const STEPS: u64 = 21;

/// Units of the campaigns that are sold of, one hot one and fifty others.
const HOT_ALLOCATION: u64 = 1_000_000;
const SPREAD_CAMPAIGNS: u64 = 50;
const SPREAD_ALLOCATION: u64 = 20_000;
/// Investments that are read by their id, from all over the register.
const READ_IDS: usize = 2_000;

/// Measures a seeded register.
pub async fn at_size(bench: &Bench<'_>, place: Place, manifest: &Manifest, checks: &mut Vec<Check>) -> Result<AtSize, Failure> {
    let size = manifest.investments;
    bench.step(&format!("{size} investments: start"));
    let mut sandbox = Sandbox::start(bench.scrip, place, bench.folder).await?;
    sandbox.sell(&manifest.product_id);
    let investments = sandbox.count("").await?;
    let resident_at_start_kib = resident_kib(sandbox.pid())?;
    let hot = [sandbox.sold("Hot at size", HOT_ALLOCATION).await?];
    let mut spread = Vec::new();
    for number in 0..SPREAD_CAMPAIGNS {
        spread.push(sandbox.sold(&format!("Spread at size {number}"), SPREAD_ALLOCATION).await?);
    }
    let sizes = bench.sizes;
    // The pages of the database that the loads need are read once before anything is timed.
    let make = traffic::creates_by(&sandbox, "warm", &hot, &manifest.investor_ids)?;
    let warm_up = bench.load(&sandbox, "warm-up", sizes.short(HOT_ALLOCATION / 4), make).await?;
    let make = traffic::creates_by(&sandbox, "sized", &hot, &manifest.investor_ids)?;
    let creates_hot = bench.load(&sandbox, "creates on one campaign", sizes.closed(HOT_ALLOCATION / 2), make).await?;
    let make = traffic::creates_by(&sandbox, "spread", &spread, &manifest.investor_ids)?;
    let requests_max = SPREAD_CAMPAIGNS * SPREAD_ALLOCATION / 2;
    let creates_spread = bench.load(&sandbox, "creates on fifty campaigns", sizes.closed(requests_max), make).await?;
    sandbox.renew_tokens().await?;

    let ids = traffic::ids_everywhere(&mut sandbox, &manifest.campaign_ids, READ_IDS).await?;
    let make = traffic::reads(&sandbox, &ids)?;
    let reads = bench.load(&sandbox, "reads of one investment", sizes.short(u64::MAX), make).await?;
    let mut pages = Vec::new();
    for (what, make) in page_loads(&mut sandbox, manifest).await? {
        let alone = bench.load(&sandbox, &format!("pages: {what}, one connection"), sizes.alone(), make.clone()).await?;
        let shape = sizes.open(alone.per_second.max(1), sizes.short);
        let loaded = bench.load(&sandbox, &format!("pages: {what}, on a timetable"), shape, make).await?;
        pages.push(PageLoad { what: what.to_owned(), alone, loaded });
    }
    let resident_after_kib = resident_kib(sandbox.pid())?;
    let hot_intents = Intents::of(&[&warm_up, &creates_hot]);
    let what = format!("creates on one campaign beside {size} investments are there once");
    checks.push(correctness::creates(&mut sandbox, &what, &hot, hot_intents).await?);
    let what = format!("creates on fifty campaigns beside {size} investments are there once");
    checks.push(correctness::creates(&mut sandbox, &what, &spread, Intents::of(&[&creates_spread])).await?);
    sandbox.stop().await?;
    Ok(AtSize { investments, resident_at_start_kib, resident_after_kib, creates_hot, creates_spread, reads, pages })
}

/// Every kind of page that clients walk.
async fn page_loads(sandbox: &mut Sandbox, manifest: &Manifest) -> Result<Vec<(&'static str, RequestMaker)>, Failure> {
    let each = |name: &str, ids: &[String]| ids.iter().map(|id| format!("&{name}={id}")).collect::<Vec<_>>();
    let statuses = ["PAID", "ACCEPTED", "ABORTED", "KYC_PENDING", "KYC_INSUFFICIENT", "REVIEW_PENDING"];
    let statuses = each("status", &statuses.map(str::to_owned));
    let mut in_campaign = Vec::new();
    for campaign in each("campaign_id", &manifest.campaign_ids) {
        in_campaign.extend(statuses.iter().take(3).map(|status| format!("{campaign}{status}")));
    }
    let products = [format!("&product_id={}", manifest.product_id)];
    let mut loads = vec![
        ("the first", traffic::first_pages(sandbox, &[String::new()])?),
        ("deep by cursor", traffic::deep_pages(sandbox, &manifest.campaign_ids).await?),
    ];
    for (what, filters) in [
        ("of a status", statuses),
        ("of a campaign", each("campaign_id", &manifest.campaign_ids)),
        ("of a campaign and a status", in_campaign),
        ("of a product", products.to_vec()),
        ("of an investor", each("investor_id", &manifest.investor_ids)),
        ("of a wallet", each("wallet", &manifest.wallet_ids)),
    ] {
        loads.push((what, traffic::first_pages(sandbox, &filters)?));
    }
    Ok(loads)
}

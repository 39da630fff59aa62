//! The desk under many callers at once: few commits, an order, and never more sold than there is.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Reply, World, merged};

const PATH: &str = "/distributor/v2/investments/";
const CALLERS: usize = 64;

async fn at_once(world: &World, bodies: Vec<Value>) -> Vec<Reply> {
    let session = world.distributor().await;
    let session = &session;
    join_all(bodies.into_iter().map(|body| async move { session.post(PATH, &body).await })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_creates_at_once_make_at_most_sixteen_commits() {
    let world = World::start().await;
    let campaign = world.campaign(json!({})).await;
    // Connections are opened before anything is counted, as a platform's pool would have them.
    let dry = world.distributor().await;
    let _open = join_all((0..CALLERS).map(|_| dry.get(PATH))).await;
    let before = world.running.office.desk.counts();
    let replies = at_once(&world, vec![world.investment_body(&campaign); CALLERS]).await;
    let after = world.running.office.desk.counts();
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert_eq!(after.1 - before.1, 64, "every command was answered once");
    let commits = after.0 - before.0;
    assert!((1..=16).contains(&commits), "{commits} commits for 64 creates");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_a_hot_campaign_is_sold_out_and_never_oversold() {
    let world = World::start().await;
    // 64 callers want 640 units of 128, in orders of 5, 10 and 15: the last three units stay, for every order is larger.
    let campaign = world.campaign(json!({"allocation": 128})).await;
    let bodies = (0..CALLERS).map(|caller| {
        let units = [5, 10, 15, 10][caller % 4];
        merged(world.investment_body(&campaign), json!({"units": units}))
    });
    let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", world.handout.product_id);
    let watcher = world.distributor().await;
    let watch = async {
        let mut last = 128;
        while last > 3 {
            let left = watcher.get(&path).await.expect(200).body["units_available"].as_u64().unwrap();
            assert!(left <= last, "units came back although nothing was cancelled");
            last = left;
        }
    };
    let (replies, ()) = tokio::join!(at_once(&world, bodies.collect()), watch);
    let (mut sold, mut refused) = (0, 0);
    for reply in replies {
        if reply.status == 201 {
            sold += reply.body["units"].as_u64().unwrap();
        } else {
            let reply = reply.expect_refused("allocation_exhausted");
            let rule = &reply.body["failed_rules"][0];
            let number = |name: &str| rule[name].as_str().unwrap().parse::<u64>().unwrap();
            assert!(number("limit") < number("actual"), "{rule}");
            refused += 1;
        }
    }
    assert_eq!(sold, 125, "the largest sum that can be reached");
    assert!(refused > 0);
    assert_eq!(watcher.get(&path).await.expect(200).body["units_available"], 3);
    let all = watcher.get(&format!("{PATH}?limit=200")).await.expect(200).body;
    let listed: u64 = all["results"].as_array().unwrap().iter().map(|found| found["units"].as_u64().unwrap()).sum();
    assert_eq!(listed, 125);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_follow_the_order_of_arrival_without_a_gap() {
    let world = World::start().await;
    let campaigns = [world.campaign(json!({})).await, world.campaign(json!({})).await];
    let session = world.distributor().await;
    let mut one_by_one = Vec::new();
    for turn in 0..6 {
        let created = session.post(PATH, &world.investment_body(&campaigns[turn % 2])).await.expect(201);
        one_by_one.push(created.id());
        // A refusal takes no number.
        let too_many = merged(world.investment_body(&campaigns[turn % 2]), json!({"units": 101}));
        session.post(PATH, &too_many).await.expect_refused("above_max_number_of_tokens");
    }
    let replies = at_once(&world, vec![world.investment_body(&campaigns[0]); CALLERS]).await;
    assert!(replies.iter().all(|reply| reply.status == 201));
    let stored = world.running.office.archive.all_investments(None, 200).unwrap();
    let number_of = |id: &str| stored.iter().find(|found| found.id.to_string() == id).unwrap().number.get();
    let base = [1_u64 << 40, 2_u64 << 40];
    let arrived: Vec<u64> = one_by_one.iter().map(|id| number_of(id)).collect();
    assert_eq!(arrived, [base[0] + 1, base[1] + 1, base[0] + 2, base[1] + 2, base[0] + 3, base[1] + 3]);
    let mut together: Vec<u64> = replies.iter().map(|reply| number_of(&reply.id())).collect();
    together.sort_unstable();
    assert_eq!(together, (base[0] + 4..base[0] + 68).collect::<Vec<u64>>());
    world.stop().await;
}

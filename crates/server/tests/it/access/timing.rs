//! Row T01: how long an answer takes does not tell a foreign id from a random one.

use std::time::Instant;

use sha2::{Digest, Sha256};

use super::side::Side;
use super::{assert_same, unknown_id};
use crate::world::World;

/// Pairs of requests.
const TRIES: u32 = 1_000;
/// Pairs in which one of the two may be the faster beyond one half: five standard deviations of a thousand fair coins, which
/// chance passes once in a million runs.
const EXCESS_MAX: u32 = 79;

/// Each pair is asked in an order that a coin decides, so that who is faster is a fair coin too unless the ids make a
/// difference, whatever else the machine does meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn t01_a_foreign_id_is_answered_like_a_random_one_and_takes_as_long() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let stranger = Side::of_new_tenants(&world, "Strange").await;
    let seed = world.handout.product_id;
    println!("seed {seed}");
    for (path, name) in [("/distributor/v2/investments/", "investment_id"), ("/distributor/v2/documents/", "document_id")] {
        let foreign = format!("{path}{}/", stranger.id(name));
        let unknown = format!("{path}{}/", unknown_id(&stranger.id(name)));
        let mut foreign_faster = 0;
        for pair in 0..TRIES {
            let is_foreign_first = Sha256::digest(format!("{seed} {name} {pair}"))[0] & 1 == 1;
            let (first, second) = if is_foreign_first { (&foreign, &unknown) } else { (&unknown, &foreign) };
            let began = Instant::now();
            let reply = own.distributor.get(first).await.expect(404);
            let took_first = began.elapsed();
            let began = Instant::now();
            let other = own.distributor.get(second).await.expect(404);
            let took_second = began.elapsed();
            assert_same(&reply, &other, name);
            foreign_faster += u32::from((took_first < took_second) == is_foreign_first);
        }
        let excess = foreign_faster.abs_diff(TRIES / 2);
        assert!(excess <= EXCESS_MAX, "{name}: a foreign id is the faster in {foreign_faster} of {TRIES} pairs");
    }
    world.stop().await;
}

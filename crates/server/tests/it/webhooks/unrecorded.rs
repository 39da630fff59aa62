//! What receivers are sent while the database takes no writes.

use serde_json::json;

use super::{Receiver, SILENCE, await_waiting, platform_of, set, verified};
use crate::overload::Hold;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_not_sent_again_while_the_database_takes_no_writes() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    set(&world, platform_of(&world), &receiver.url, None).await;
    let campaign = world.campaign(json!({})).await;
    let answers_held = receiver.desk.held.write().await;
    world.investment(&campaign, json!({})).await.expect(201);
    receiver.await_events(1).await;
    let hold = Hold::take(&world);
    drop(answers_held);

    // Each is refused only after the desk has tried for seconds, the relay's record in the same batch or one before.
    for _attempt in 0..2 {
        world.investment(&campaign, json!({})).await.expect(503);
    }
    tokio::time::sleep(SILENCE).await;
    let archive = &world.running.office.archive;
    assert_eq!(archive.events_waiting(platform_of(&world)).unwrap(), 1, "it could not be recorded");
    assert_eq!(receiver.received().len(), 1, "and is not sent again for it");

    hold.release();
    await_waiting(archive, platform_of(&world), 0).await;
    assert_eq!(receiver.received().len(), 1);
    verified(world).await;
}

//! A product whose ledger and register differ, as platforms and operators meet it (row L20).

use std::path::Path;
use std::time::Duration;

use domain::freeze::{Difference, Freeze};
use domain::ids::ProductId;
use serde_json::{Value, json};
use server::operations::freeze::FreezeProduct;
use server::program::Office;
use server::verify::{verify, verify_restored};
use uuid::Uuid;

use crate::process::{expect_failure, run};
use crate::world::{World, database_of};

/// How often it is asked whether something has come about; together a minute.
const POLLS_MAX: u32 = 6_000;

/// Changes rows beside the program, as somebody with access to the database can.
fn by_hand(folder: &Path, sql: &str) {
    match database_of(folder) {
        None => {
            let file = rusqlite::Connection::open(folder.join("data").join(store::sqlite::DATABASE_FILE_NAME)).unwrap();
            file.busy_timeout(Duration::from_secs(10)).unwrap();
            assert!(file.execute(sql, []).unwrap() > 0, "{sql}");
        }
        Some(url) => {
            let database = url.strip_prefix("postgres:///").unwrap().split('?').next().unwrap();
            cluster::shared().unwrap().execute(database, sql).unwrap();
        }
    }
}

/// `scrip ledger release`: whether it says that it did, and what it prints.
async fn release(world: &World, product: Uuid) -> (bool, Value) {
    let (data, id, database) = (world.folder.path().join("data"), product.to_string(), database_of(world.folder.path()));
    let done = tokio::task::spawn_blocking(move || {
        let url = database.iter().flat_map(|url| ["--database", url.as_str()]);
        run(&["ledger", "release", "--product-id", id.as_str()].into_iter().chain(url).collect::<Vec<_>>(), &data)
    });
    let done = done.await.unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    (done.status.success(), serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed:?}")))
}

async fn verified(world: &World) -> String {
    match verify(&world.folder.path().join("data"), database_of(world.folder.path()).as_deref()).await {
        Ok(report) => report.to_string(),
        Err(difference) => difference.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l20_platforms_are_refused_operators_are_told_and_credits_go_on_when_the_units_agree() {
    let world = World::start().await;
    let (session, product) = (world.distributor().await, world.handout.product_id);
    let campaign = world.campaign(json!({})).await;
    let credits = |id: &str| format!("/distributor/v2/investments/{id}/credits/");
    let delivered = world.paid_investment(&campaign).await;
    let credit = session.post_empty(&credits(&delivered)).await.expect(201).id();
    assert_eq!(session.ended_credit(&delivered, &credit).await["status"], "succeeded");
    let next = world.paid_investment(&campaign).await;
    let dry = format!("{}?dry_run=true", credits(&next));
    session.post_empty(&dry).await.expect(200);

    let folder = world.stop().await;
    let change = |sign: char| {
        let sql = "UPDATE investment_count SET units_delivered = units_delivered SIGN 1 WHERE status = 'DELIVERED'";
        sql.replace("SIGN", &sign.to_string())
    };
    by_hand(folder.path(), &change('+'));
    let world = World::start_in(folder, |settings| settings.metrics = Some(([127, 0, 0, 1], 0).into())).await;
    let session = world.distributor().await;
    let mut polls = 0..POLLS_MAX;
    let refused = loop {
        polls.next().expect("the product is frozen");
        let reply = session.post_empty(&dry).await;
        if reply.status == 409 {
            break reply;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    refused.expect_refused("product_frozen");
    let refused = session.post_empty(&credits(&next)).await.expect_refused("product_frozen");
    assert!(refused.text.contains("Credits of this product rest until the registrar has looked"), "{}", refused.text);
    assert_eq!(session.get(&credits(&next)).await.expect(200).body["count"], 0);
    let found = verified(&world).await;
    assert!(found.starts_with(&format!("product {product}: its credits rest since block ")), "{found}");
    assert!(found.ends_with("10 units, 10 of which are outstanding; the register delivered 11"), "{found}");
    let metrics =
        reqwest::get(format!("http://{}/metrics", world.running.metrics_address.unwrap())).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nscrip_ledger_frozen_products 1\n"), "{metrics}");

    let (is_done, said) = release(&world, product).await;
    assert_eq!((is_done, &said["outcome"], &said["difference"]), (false, &json!("still_differs"), &json!("units")), "{said}");
    session.post_empty(&credits(&next)).await.expect_refused("product_frozen");
    by_hand(world.folder.path(), &change('-'));
    let (is_done, said) = release(&world, product).await;
    assert_eq!((is_done, &said["outcome"]), (true, &json!("released")), "{said}");
    let (is_done, said) = release(&world, product).await;
    assert_eq!((is_done, &said["outcome"]), (true, &json!("was_not_frozen")), "{said}");
    let credit = session.post_empty(&credits(&next)).await.expect(201).id();
    assert_eq!(session.ended_credit(&next, &credit).await["status"], "succeeded");
    let found = verified(&world).await;
    assert!(found.starts_with("everything holds"), "{found}");

    let data = world.folder.path().join("data");
    let database = database_of(world.folder.path());
    let unknown = tokio::task::spawn_blocking(move || {
        let url = database.iter().flat_map(|url| ["--database", url.as_str()]);
        let arguments = ["ledger", "release", "--product-id", "0198b2a4-0000-7000-8000-000000000000"];
        run(&arguments.into_iter().chain(url).collect::<Vec<_>>(), &data)
    });
    expect_failure(&unknown.await.unwrap(), "NotFound");
    world.stop().await;
}

/// A backup of a register in which something rests can be restored, and it rests there.
#[tokio::test(flavor = "multi_thread")]
async fn l20_what_rests_in_a_backup_rests_where_it_is_restored() {
    let world = World::start().await;
    let product_id = ProductId::new(world.handout.product_id);
    let freeze = Freeze {
        since: world.running.office.clock.now(),
        block_number: 7,
        difference: Difference::ForeignOrder,
        detail: "the ledger issued what nobody ordered".to_owned(),
        is_release_asked: false,
    };
    let order = FreezeProduct { product_id, freeze: freeze.clone() };
    world.running.office.desk.run(order, freeze.since).await.unwrap();
    let folder = world.stop().await;
    let (data, database) = (folder.path().join("data"), database_of(folder.path()));
    let to = folder.path().join("backup");
    let url = database.iter().flat_map(|url| ["--database", url.as_str()]);
    let taken =
        run(&["backup", "--with-root-key", "--to", to.to_str().unwrap()].into_iter().chain(url).collect::<Vec<_>>(), &data);
    assert!(taken.status.success(), "{taken:?}");
    let restored = folder.path().join("restored");
    let done = run(&["restore", "--from", to.to_str().unwrap()], &restored);
    assert!(done.status.success(), "{done:?}");
    verify_restored(&restored, None).await.unwrap();
    let named = verify(&restored, None).await.unwrap_err().to_string();
    assert_eq!(named, format!("product {product_id}: its credits rest since block 7: the ledger issued what nobody ordered"));
    let office = Office::open(&restored, None).unwrap();
    assert_eq!(office.archive.product_any(product_id).unwrap().unwrap().freeze, Some(freeze));
}

//! Rows I11, I13 and I14: how long an answer is kept, who can read it, and what it says when time has gone on.

use reqwest::Method;
use serde_json::json;

use super::database_in;
use super::effects::assert_replayed;
use crate::access::side::Side;
use crate::world::{World, make_key};

async fn turn_clock(world: &World, advance: &str) {
    let address = format!("{}/sandbox/clock/", world.handout.url);
    let answer = world.http.post(address).json(&json!({ "advance": advance })).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn i11_a_key_holds_a_day_and_after_it_the_rules_still_prevent_a_second_credit() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let session = &side.distributor;
    let investment = side.paid_investment().await;
    let path = format!("/distributor/v2/investments/{investment}/credits/");
    let (key, other_key) = (make_key(), make_key());
    let first = session.send(Method::POST, &path, Some(&key), None).await.expect(201);
    let ended = session.ended_credit(&investment, &first.id()).await;
    assert_eq!(ended["status"], "succeeded");
    let body = side.investment_body();
    let created = session.send(Method::POST, "/distributor/v2/investments/", Some(&other_key), Some(&body)).await.expect(201);
    turn_clock(&world, "PT23H59M").await;
    assert_replayed(&first, &session.send(Method::POST, &path, Some(&key), None).await, "within a day");
    turn_clock(&world, "P3D").await;
    let anew = session.send(Method::POST, &path, Some(&key), None).await.expect_refused("credit_exists");
    assert!(!anew.is_replay(), "decided anew");
    assert_replayed(&anew, &session.send(Method::POST, &path, Some(&key), None).await, "the new decision");
    let credits = session.get(&path).await.expect(200);
    assert_eq!((&credits.body["count"], &credits.body["results"][0]), (&json!(1), &ended));
    let again = session.send(Method::POST, "/distributor/v2/investments/", Some(&other_key), Some(&body)).await.expect(201);
    assert!(!again.is_replay());
    assert_ne!(again.id(), created.id(), "a key that has lapsed is a new key");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_a_remembered_answer_about_an_investor_is_sealed_and_erased_with_him() {
    let world = World::start_embedded().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let session = &side.distributor;
    let key = make_key();
    let body = side.investment_body();
    let created = session.send(Method::POST, "/distributor/v2/investments/", Some(&key), Some(&body)).await.expect(201);
    let campaign_key = make_key();
    let campaigns = format!("/issuer/v2/products/{}/campaigns/", side.id("product_id"));
    let campaign = side.campaign_body();
    let campaign = side.issuer.send(Method::POST, &campaigns, Some(&campaign_key), Some(&campaign)).await.expect(201);
    let database = database_in(world.folder.path());
    let stored = |key: &str| -> (Vec<u8>, Option<Vec<u8>>) {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'answer_*' ORDER BY name DESC";
        let table: String = database.query_row(tables, [], |row| row.get(0)).unwrap();
        let sql = format!("SELECT body, subject FROM {table} WHERE key = ?1");
        database.query_row(&sql, [key], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let subject = uuid::Uuid::parse_str(&side.id("investor_id")).unwrap().as_bytes().to_vec();
    assert_eq!(stored(&campaign_key), (campaign.text.as_bytes().to_vec(), None), "an answer about no person is kept as it is");
    let (sealed, of) = stored(&key);
    assert_eq!(of, Some(subject.clone()));
    assert!(sealed.len() > created.text.len(), "nonce, text and tag");
    for name in ["scrip.sqlite", "scrip.sqlite-wal"] {
        let bytes = std::fs::read(world.folder.path().join("data").join(name)).unwrap();
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!holds("payment_provisional"), "{name} holds an investment's answer");
        assert!(!holds(&created.text), "{name}");
    }
    let send = async |body| session.send(Method::POST, "/distributor/v2/investments/", Some(&key), Some(body)).await;
    assert_replayed(&created, &send(&body).await, "while the key is there");
    let wrapped: Vec<u8> =
        database.query_row("SELECT wrapped FROM subject_key WHERE investor_id = ?1", [&subject], |row| row.get(0)).unwrap();
    assert_eq!(database.execute("DELETE FROM subject_key WHERE investor_id = ?1", [&subject]).unwrap(), 1);
    let head = world.running.office.archive.journal_head().unwrap();
    let erased = send(&body).await.expect_refused("answer_erased");
    assert!(!erased.text.contains(&created.id()), "{}", erased.text);
    assert_eq!(world.running.office.archive.journal_head().unwrap(), head, "and it is not executed again");
    let other = crate::world::merged(body.clone(), json!({"units": 2}));
    send(&other).await.expect(422);
    database.execute("INSERT INTO subject_key (investor_id, wrapped) VALUES (?1, ?2)", (&subject, &wrapped)).unwrap();
    assert_replayed(&created, &send(&body).await, "the key alone decides");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i14_a_replayed_change_does_not_undo_what_others_changed_since() {
    let world = World::start().await;
    let side = Side::of_new_tenants(&world, "Own").await;
    let session = &side.distributor;
    let path = format!("/distributor/v2/investments/{}/", side.investment().await);
    let disagio = |amount: &str| json!({"disagio": {"amount": amount, "decimals": 2, "currency": "EUR"}});
    let key = make_key();
    let first = session.send(Method::PATCH, &path, Some(&key), Some(&disagio("1"))).await.expect(200);
    let current = session.get(&path).await.expect(200);
    assert_eq!(first.headers["etag"], current.headers["etag"], "it is the newest");
    session.post(&format!("{path}cancellation/"), &json!({"cancellation_date": crate::world::GUIDE_DATE})).await.expect(200);
    let since = session.get(&path).await.expect(200);
    let head = world.running.office.archive.journal_head().unwrap();
    let again = session.send(Method::PATCH, &path, Some(&key), Some(&disagio("1"))).await;
    assert_replayed(&first, &again, "the stored answer");
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    assert_ne!(again.headers["etag"], since.headers["etag"], "the entity tag shows that it is old");
    assert_eq!(world.running.office.archive.journal_head().unwrap(), head);
    assert_eq!(session.get(&path).await.expect(200).text, since.text, "the state is untouched");
    let campaign = side.campaign(json!({"allocation": 100})).await;
    let path = format!("/issuer/v2/products/{}/campaigns/{campaign}/", side.id("product_id"));
    let (off, on) = (json!({"is_campaign_active": false}), json!({"is_campaign_active": true}));
    let first = side.issuer.send(Method::PATCH, &path, Some(&key), Some(&off)).await.expect(200);
    side.issuer.patch(&path, &on).await.expect(200);
    assert_replayed(&first, &side.issuer.send(Method::PATCH, &path, Some(&key), Some(&off)).await, "a campaign");
    assert_eq!(side.issuer.get(&path).await.expect(200).body["is_campaign_active"], true);
    world.stop().await;
}

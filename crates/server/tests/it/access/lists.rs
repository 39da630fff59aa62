//! Row T03: lists, filters and cursors show own rows only.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalogue::guarded;
use super::side::Side;
use super::unknown_id;
use crate::world::{Session, World};

#[tokio::test(flavor = "multi_thread")]
async fn t03_lists_filters_and_cursors_show_own_rows_only() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let stranger = Side::of_new_tenants(&world, "Strange").await;
    let mut mine = vec![own.id("investment_id")];
    for _turn in 0..3 {
        mine.push(own.investment().await);
        stranger.investment().await;
    }
    assert_nothing_foreign(&world, &own, &stranger).await;
    for (session, path) in [(&own.distributor, "/distributor/v2/investments/"), (&own.issuer, "/issuer/v2/investments/")] {
        assert_eq!(walked(session, path, "next").await, mine, "oldest first, whatever others created in between");
        let filters: BTreeMap<&str, &str> =
            BTreeMap::from([("product_id", "product_id"), ("campaign_id", "campaign_id"), ("wallet", "wallet")]);
        for (filter, name) in filters.into_iter().chain([("investor_id", "investor_id")]) {
            let own_rows = session.get(&format!("{path}?{filter}={}", own.id(name))).await.expect(200);
            assert_eq!(own_rows.body["count"], mine.len(), "{filter}");
            for id in [stranger.id(name), unknown_id(&stranger.id(name))] {
                let none = session.get(&format!("{path}?{filter}={id}")).await.expect(200);
                assert_eq!(none.body, json!({"count": 0, "next": null, "previous": null, "results": []}), "{filter}");
            }
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t03_a_cursor_works_for_its_tenant_and_its_list_only() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let stranger = Side::of_new_tenants(&world, "Strange").await;
    own.investment().await;
    stranger.investment().await;
    let path = "/distributor/v2/investments/?limit=1";
    let page = stranger.distributor.get(path).await.expect(200);
    let cursor = page.body["next"].as_str().unwrap().split("cursor=").nth(1).unwrap().to_owned();
    stranger.distributor.get(&format!("{path}&cursor={cursor}")).await.expect(200);
    let changed = {
        let other = if cursor.starts_with('A') { "B" } else { "A" };
        format!("{other}{}", &cursor[1..])
    };
    for (session, path) in [
        (&own.distributor, format!("{path}&cursor={cursor}")),
        (&own.issuer, format!("/issuer/v2/investments/?cursor={cursor}")),
        (&stranger.issuer, format!("/issuer/v2/investments/?cursor={cursor}")),
        (&stranger.distributor, format!("/distributor/v2/investors/?cursor={cursor}")),
        (&stranger.distributor, format!("{path}&status=PAID&cursor={cursor}")),
        (&stranger.distributor, format!("{path}&cursor={changed}")),
    ] {
        session.get(&path).await.expect_fault("?cursor", "invalid_value");
    }
    world.stop().await;
}

/// No reading answer of the one side, on any page, holds an id of the other, and totals count own rows.
async fn assert_nothing_foreign(world: &World, own: &Side, stranger: &Side) {
    let public = stranger.id("distribution_platform_id");
    let foreign: Vec<String> = stranger.loot().into_iter().flat_map(BTreeMap::into_values).filter(|id| *id != public).collect();
    let mut lists = 0;
    for operation in guarded().into_iter().filter(|operation| !operation.is_mutating()) {
        let call = own.fresh(&operation).await;
        let reply = call.send(world, own.caller(&operation), None).await.expect(200);
        for id in &foreign {
            assert!(!reply.text.contains(id), "{} shows {id}: {}", operation.id, reply.text);
        }
        if operation.is_list() {
            let count = reply.body["count"].as_u64().unwrap();
            assert!(count > 0, "{}: {}", operation.id, reply.text);
            assert_eq!(count, reply.body["results"].as_array().unwrap().len() as u64, "{}", operation.id);
            lists += 1;
        }
    }
    assert!(lists >= 12, "{lists} lists");
}

/// The ids of a list, page by page of one row, by following the links of one direction.
async fn walked(session: &Session, path: &str, link: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = format!("{path}?limit=1");
    loop {
        let page = session.get(&path).await.expect(200);
        ids.extend(page.body["results"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Value::String(next) = &page.body[link] else { return ids };
        next.strip_prefix(&session.url).unwrap().clone_into(&mut path);
    }
}

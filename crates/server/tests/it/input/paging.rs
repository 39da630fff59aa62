//! Queries and cursors: every name known and standing once, every value of its type, every cursor its owner's.

use domain::organisation::OrganisationKind;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, operations};
use crate::world::Session;

/// The largest page.
const LIMIT_MAX: usize = 200;

/// Paths of the lists, from the OpenAPI file: what has a `cursor`.
fn lists() -> Vec<&'static str> {
    let is_list =
        |operation: &Value| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "cursor"));
    operations().into_iter().filter(|(_, _, operation)| is_list(operation)).map(|(_, template, _)| template).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_query_parameters_stand_once_are_known_and_have_their_type() {
    let scene = Scene::start().await;
    assert!(lists().len() >= 12);
    for template in lists() {
        let path = scene.filled(template);
        let session = scene.session_of(&path);
        for (query, pointer, code) in [
            ("limit=1&limit=999", "?limit", "duplicate_field"),
            ("limit=1&limit=1", "?limit", "duplicate_field"),
            ("limit=1&%6cimit=2", "?limit", "duplicate_field"),
            ("limit=-1", "?limit", "invalid_value"),
            ("limit=%2B1", "?limit", "invalid_value"),
            ("limit=1.0", "?limit", "invalid_value"),
            ("limit=1e2", "?limit", "invalid_value"),
            ("limit=01", "?limit", "invalid_value"),
            ("limit=", "?limit", "invalid_value"),
            ("limit", "?limit", "invalid_value"),
            ("limit=%20", "?limit", "invalid_value"),
            ("limit=all", "?limit", "invalid_value"),
            ("limit=0", "?limit", "out_of_range"),
            ("limit=201", "?limit", "out_of_range"),
            ("limit=1000000000", "?limit", "out_of_range"),
            ("limit=99999999999999999999", "?limit", "out_of_range"),
            ("cursor=", "?cursor", "invalid_value"),
            ("cursor=x", "?cursor", "invalid_value"),
            ("cursor=%00", "?cursor", "invalid_value"),
            ("cursor='%20OR%201=1--", "?cursor", "invalid_value"),
            ("page=2", "?page", "unknown_field"),
            ("offset=1", "?offset", "unknown_field"),
            ("Limit=1", "?Limit", "unknown_field"),
            ("limit%00=1", "?limit\0", "unknown_field"),
            ("limit[]=1", "?limit[]", "unknown_field"),
            ("tenant_id=1", "?tenant_id", "unknown_field"),
            ("=", "?", "unknown_field"),
            ("%zz=1", "?", "invalid_value"),
            ("limit=%ff", "?", "invalid_value"),
        ] {
            session.get(&format!("{path}?{query}")).await.expect_fault(pointer, code);
        }
        let many: String = (0..65).map(|number| format!("p{number}=&")).collect::<Vec<_>>().concat();
        session.get(&format!("{path}?{many}")).await.expect_fault("?", "too_long");
    }
    for path in ["/distributor/v2/investments/", "/issuer/v2/investments/"] {
        let session = scene.session_of(path);
        for (query, pointer) in [
            ("status=paid", "?status"),
            ("status=", "?status"),
            ("status=PAID,ACCEPTED", "?status"),
            ("status=%27", "?status"),
            ("campaign_id=1", "?campaign_id"),
            ("investor_id=null", "?investor_id"),
            ("product_id=", "?product_id"),
            ("wallet=0195892f7d5e7000800000000000002a", "?wallet"),
        ] {
            session.get(&format!("{path}?{query}")).await.expect_fault(pointer, "invalid_value");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_operations_without_a_query_take_none() {
    let scene = Scene::start().await;
    for (method, template, operation) in operations() {
        let takes_queries = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == "query"));
        if method != Method::GET || takes_queries || !template.starts_with("/api/") {
            continue;
        }
        let path = scene.filled(template);
        for name in ["access_token", "limit", "dry_run"] {
            let reply = scene.session_of(&path).get(&format!("{path}?{name}=1")).await;
            reply.expect_fault(&format!("?{name}"), "unknown_field");
        }
    }
    for act in scene.acts() {
        for (query, pointer, code) in [
            ("dry_run=1", "?dry_run", "invalid_value"),
            ("dry_run=True", "?dry_run", "invalid_value"),
            ("dry_run", "?dry_run", "invalid_value"),
            ("dry_run=true&dry_run=false", "?dry_run", "duplicate_field"),
            ("dryrun=true", "?dryrun", "unknown_field"),
        ] {
            let asked = super::Act { path: format!("{}?{query}", act.path), ..act.clone() };
            scene.refuse(&asked, act.body.to_string(), 400).await.expect_fault(pointer, code);
        }
    }
}

/// Two of everything that has a list on the distributor's side that a second platform can see too.
async fn second_page(session: &Session, path: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    let first = session.get(&format!("{path}{separator}limit=1")).await.expect(200);
    let next = first.body["next"].as_str().unwrap_or_else(|| panic!("{path} has one page: {}", first.text));
    next.strip_prefix(&session.url).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_cursor_opens_only_unchanged_for_its_tenant_its_list_and_its_filters() {
    let scene = Scene::start().await;
    let other = scene.world.tenant(OrganisationKind::Distributor, "Another Platform").await;
    for number in 0..2 {
        let product = scene.world.product(|terms| terms.step_size = domain::units::Units::new(1 + number).unwrap()).await;
        scene.world.list(&product, other.organisation_id).await;
        scene.world.list(&product, scene.distributor.organisation_id).await;
    }
    let (own, foreign) = (&scene.distributor, &other);
    let path = "/distributor/v2/products/";
    let (own_page, foreign_page) = (second_page(own, path).await, second_page(foreign, path).await);
    own.get(&own_page).await.expect(200);
    foreign.get(&foreign_page).await.expect(200);
    foreign.get(&own_page).await.expect_fault("?cursor", "invalid_value");
    own.get(&foreign_page).await.expect_fault("?cursor", "invalid_value");

    let (address, cursor) = own_page.split_once("cursor=").unwrap();
    for index in 0..cursor.len() {
        let mut changed = cursor.as_bytes().to_vec();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        for tampered in [std::str::from_utf8(&changed).unwrap(), &cursor[..index]] {
            own.get(&format!("{address}cursor={tampered}")).await.expect_fault("?cursor", "invalid_value");
        }
    }
    for tampered in [format!("{cursor}A"), format!("{cursor}="), format!("%20{cursor}"), cursor.to_lowercase()] {
        own.get(&format!("{address}cursor={tampered}")).await.expect_fault("?cursor", "invalid_value");
    }
    let elsewhere = format!("/distributor/v2/investments/?cursor={cursor}");
    own.get(&elsewhere).await.expect_fault("?cursor", "invalid_value");

    let filtered = format!("/distributor/v2/investments/?campaign_id={}", scene.campaign_id);
    let page = second_page(own, &filtered).await;
    own.get(&page).await.expect(200);
    let other_filter = page.replace(&scene.campaign_id, &scene.world.handout.product_id.to_string());
    own.get(&other_filter).await.expect_fault("?cursor", "invalid_value");
    let unfiltered = page.replace(&format!("campaign_id={}&", scene.campaign_id), "");
    own.get(&unfiltered).await.expect_fault("?cursor", "invalid_value");
    // The issuer's list of the same investments is another list.
    scene.issuer.get(&page.replace("/distributor/", "/issuer/")).await.expect_fault("?cursor", "invalid_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_page_has_at_most_200_objects_and_pages_neither_skip_nor_repeat() {
    let scene = Scene::start().await;
    let path = "/distributor/v2/investments/";
    for _more in 0..=LIMIT_MAX {
        scene.world.investment(&scene.campaign_id, json!({"units": 1})).await.expect(201);
    }
    let ids = |body: &Value| -> Vec<String> {
        body["results"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = scene.distributor.get(&format!("{path}?limit=200")).await.expect(200);
    let next = first.body["next"].as_str().unwrap().strip_prefix(&scene.distributor.url).unwrap().to_owned();
    let second = scene.distributor.get(&next).await.expect(200);
    assert_eq!(ids(&first.body).len(), LIMIT_MAX);
    let mut all = [ids(&first.body), ids(&second.body)].concat();
    assert_eq!(all.len(), usize::try_from(first.body["count"].as_u64().unwrap()).unwrap());
    all.sort();
    all.dedup();
    assert_eq!(all.len(), usize::try_from(scene.count(path).await).unwrap());
    assert_eq!(second.body["next"], Value::Null);
}

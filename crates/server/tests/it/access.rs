//! Who may do what: every operation of the OpenAPI file without a token, with the wrong one, and with other tenants' ids.

pub mod call;
pub mod catalogue;
mod lists;
pub mod side;
mod timing;
mod tokens;
mod traces;

use std::collections::BTreeMap;

use domain::organisation::OrganisationKind;
use reqwest::header::HeaderMap;
use serde_json::json;
use uuid::Uuid;

use self::call::{Call, Payload, Position};
use self::catalogue::{Operation, guarded};
use self::side::Side;
use crate::world::{Reply, Session, World, make_key};

/// Ids that are no secret: issuers choose among all platforms.
const KNOWN_TO_EVERYBODY: [&str; 1] = ["distribution_platform_id"];

#[tokio::test(flavor = "multi_thread")]
async fn foreign_ids_tell_and_change_nothing() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let stranger = Side::of_new_tenants(&world, "Strange").await;
    // Each shares one tenant with the caller, so that a check of only the other one would show.
    let same_issuer = Side::between(&world, &own.issuer, &stranger.distributor).await;
    let same_platform = Side::between(&world, &stranger.issuer, &own.distributor).await;
    let mut tried = 0;
    for operation in guarded() {
        let call = own.fresh(&operation).await;
        assert_open(&world, &own, &operation, &call).await;
        let victims = match operation.kind {
            OrganisationKind::Distributor => [&stranger, &same_issuer],
            OrganisationKind::Issuer => [&stranger, &same_platform],
            OrganisationKind::Registrar => panic!("{} is the registrar's", operation.id),
        };
        let before = (seen(&world, &victims).await, world.running.office.archive.journal_head().unwrap());
        for victim in victims {
            for loot in victim.loot() {
                tried += walk_positions(&world, own.caller(&operation), &operation, &call, &loot).await;
                tried += walk_filters(&world, own.caller(&operation), &operation, &call, &loot).await;
            }
        }
        let after = (seen(&world, &victims).await, world.running.office.archive.journal_head().unwrap());
        assert_eq!(before, after, "{} changed something", operation.id);
    }
    assert!(tried > 200, "{tried} requests");
    world.stop().await;
}

async fn seen(world: &World, sides: &[&Side]) -> Vec<(&'static str, String)> {
    let mut seen = Vec::new();
    for side in sides {
        seen.extend(side.sight(world).await);
    }
    seen
}

/// The walk means something only where the request is good but for the id.
async fn assert_open(world: &World, own: &Side, operation: &Operation, call: &Call) {
    let (call, key) = if operation.is_mutating() { (call.with_query("dry_run=true"), None) } else { (call.clone(), None) };
    let reply = call.send(world, own.caller(operation), key).await;
    assert_eq!(reply.status, 200, "{} with own ids: {}", operation.id, reply.text);
}

/// Puts foreign ids into every combination of positions, and compares with random ids there.
async fn walk_positions(
    world: &World,
    caller: &Session,
    operation: &Operation,
    call: &Call,
    loot: &BTreeMap<&'static str, String>,
) -> usize {
    let positions: Vec<Position> =
        call.positions().into_iter().filter(|position| !KNOWN_TO_EVERYBODY.contains(&position.names())).collect();
    for choice in 1..1_usize << positions.len() {
        let chosen: Vec<&Position> = positions.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1).map(|(_, p)| p).collect();
        let foreign = |position: &Position| {
            let id = loot.get(position.names());
            id.unwrap_or_else(|| panic!("{}: nothing foreign for {position:?}", operation.id)).clone()
        };
        let put = |id: &dyn Fn(&Position) -> String| {
            chosen.iter().fold(call.clone(), |call, position| call.with_id(position, &id(position)))
        };
        let at = format!("{} with a foreign id at {chosen:?}", operation.id);
        let told = put(&foreign).send(world, caller, key_for(operation).as_deref()).await;
        let blank = put(&|position| unknown_id(&foreign(position))).send(world, caller, key_for(operation).as_deref()).await;
        if chosen.iter().any(|position| matches!(position, Position::Path(_))) {
            assert_eq!(told.status, 404, "{at}: {}", told.text);
        } else {
            for position in &chosen {
                let Position::Body(pointer) = position else { panic!("{at}") };
                told.clone().expect_fault(pointer, "not_found");
            }
        }
        assert_same(&told, &blank, &at);
    }
    (1 << positions.len()) - 1
}

/// Filters by foreign ids find what filters by random ids find: nothing.
async fn walk_filters(
    world: &World,
    caller: &Session,
    operation: &Operation,
    call: &Call,
    loot: &BTreeMap<&'static str, String>,
) -> usize {
    for filter in &operation.filters {
        let foreign = &loot[filter];
        let told = call.with_query(&format!("{filter}={foreign}")).send(world, caller, None).await.expect(200);
        let blank = call.with_query(&format!("{filter}={}", unknown_id(foreign))).send(world, caller, None).await;
        assert_eq!(told.body, json!({"count": 0, "next": null, "previous": null, "results": []}), "{}", operation.id);
        assert_same(&told, &blank, &format!("{} by {filter}", operation.id));
    }
    operation.filters.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn t02_foreign_ids_in_a_body_and_own_objects_that_do_not_belong_together_are_not_found() {
    let world = World::start().await;
    let issuer = world.tenant(OrganisationKind::Issuer, "Issuer").await;
    let platform = world.tenant(OrganisationKind::Distributor, "Platform").await;
    let one = Side::between(&world, &issuer, &platform).await;
    let other = Side::between(&world, &issuer, &platform).await;
    let stranger = Side::of_new_tenants(&world, "Strange").await;
    let head = world.running.office.archive.journal_head().unwrap();
    let mut nested = 0;
    for operation in guarded().into_iter().filter(|operation| operation.path_ids.len() > 1) {
        let payload = match operation.id {
            "create_quote" => Payload::Json(json!({"units": 1})),
            _other if operation.is_mutating() => Payload::Json(json!({"is_campaign_active": false})),
            _reading => Payload::Empty,
        };
        let call = Call::new(&operation, payload, |name| one.id(name));
        for name in &operation.path_ids {
            let mixed = call.with_id(&Position::Path(name), &other.id(name));
            let reply = mixed.send(&world, one.caller(&operation), key_for(&operation).as_deref()).await;
            assert_eq!(reply.status, 404, "{} with the other's {name}: {}", operation.id, reply.text);
            nested += 1;
        }
    }
    assert_eq!(nested, 12, "six nested resources");
    let body = crate::world::merged(one.investment_body(), json!({"wallet": other.id("wallet")}));
    one.distributor.post("/distributor/v2/investments/", &body).await.expect_fault("/wallet", "not_found");
    for pointer in ["/investor_id", "/campaign_id", "/wallet", "/signed_documents/0/document_id"] {
        let mut body = one.investment_body();
        *body.pointer_mut(pointer).unwrap() = json!(stranger.id(pointer.rsplit('/').next().unwrap()));
        one.distributor.post("/distributor/v2/investments/", &body).await.expect_fault(pointer, "not_found");
    }
    let path = format!("/distributor/v2/investments/{}/", one.id("investment_id"));
    one.distributor.patch(&path, &json!({"wallet": other.id("wallet")})).await.expect_fault("/wallet", "not_found");
    assert_eq!(world.running.office.archive.journal_head().unwrap(), head);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t02_an_organisation_that_is_no_platform_is_not_told_from_none() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let stranger = world.tenant(OrganisationKind::Issuer, "Strange issuer").await;
    let path = format!("/issuer/v2/products/{}/campaigns/", own.id("product_id"));
    let try_platform = async |id: Uuid| {
        let mut body = own.campaign_body();
        body["distribution_platform_id"] = json!(id);
        own.issuer.post(&path, &body).await
    };
    for id in [stranger.organisation_id, own.issuer.organisation_id] {
        let told = try_platform(id).await.expect_fault("/distribution_platform_id", "not_found");
        let blank = try_platform(Uuid::parse_str(&unknown_id(&id.to_string())).unwrap()).await;
        assert_same(&told, &blank, "an issuer's id as a platform");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_every_operation_wants_its_api_and_its_scope_before_it_looks_anything_up() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let registrar = world.tenant(OrganisationKind::Registrar, "Registrar").await;
    for operation in guarded() {
        let call = own.fresh(&operation).await;
        let head = world.running.office.archive.journal_head().unwrap();
        let all = operation.kind.scopes().iter().map(|scope| scope.code());
        let others: Vec<&str> = all.filter(|scope| !operation.scopes.contains(scope)).collect();
        let caller = own.caller(&operation);
        let lacking = world.session(&caller.credentials, caller.organisation_id, Some(&others.join(" "))).await;
        let other_api = match operation.kind {
            OrganisationKind::Issuer => &own.distributor,
            OrganisationKind::Distributor => &own.issuer,
            OrganisationKind::Registrar => panic!("{} is the registrar's", operation.id),
        };
        for session in [&lacking, other_api, &registrar] {
            let refused = call.send(&world, session, key_for(&operation).as_deref()).await;
            assert_eq!(refused.status, 403, "{}: {}", operation.id, refused.text);
            let challenge = format!("Bearer realm=\"scrip\", error=\"insufficient_scope\", scope=\"{}\"", operation.scopes[0]);
            assert_eq!(refused.headers["www-authenticate"], challenge, "{}", operation.id);
            let unknown = call.positions().iter().fold(call.clone(), |call, position| {
                let id = unknown_id(call.id_at(position));
                call.with_id(position, &id)
            });
            let blind = unknown.send(&world, session, key_for(&operation).as_deref()).await;
            assert_same(&refused, &blind, &format!("{}: refused before any look-up", operation.id));
        }
        assert_eq!(world.running.office.archive.journal_head().unwrap(), head, "{}", operation.id);
        for scope in &operation.scopes {
            let session = world.session(&caller.credentials, caller.organisation_id, Some(scope)).await;
            let call = if operation.is_mutating() { call.with_query("dry_run=true") } else { call.clone() };
            assert_eq!(call.send(&world, &session, None).await.status, 200, "{} with {scope} alone", operation.id);
        }
    }
    world.stop().await;
}

/// A key for operations that change something.
fn key_for(operation: &Operation) -> Option<String> {
    operation.is_mutating().then(make_key)
}

/// An id of the same form that names nothing.
fn unknown_id(id: &str) -> String {
    Uuid::from_u128(Uuid::parse_str(id).unwrap().as_u128() ^ 0xffff_ffff).to_string()
}

/// Two answers are the same to the byte, but for the id of their request and the date.
#[track_caller]
fn assert_same(one: &Reply, other: &Reply, at: &str) {
    let text = |reply: &Reply| reply.text.replace(reply.headers["x-request-id"].to_str().unwrap(), "<request>");
    let headers = |reply: &Reply| {
        let mut headers: HeaderMap = reply.headers.clone();
        headers.remove("x-request-id");
        headers.remove("date");
        headers
    };
    assert_eq!((one.status, text(one)), (other.status, text(other)), "{at}");
    assert_eq!(headers(one), headers(other), "{at}");
}

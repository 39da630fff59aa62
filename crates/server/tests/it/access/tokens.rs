//! Rows T05 and T07: which tokens hold.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{ClientId, OrganisationId};
use domain::instant::Instant;
use domain::organisation::OrganisationKind;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use server::http::token::{Grant, Scopes, TokenSigner};
use server::keyring::KeyUse;
use server::operations::client::RevokeClient;
use sha2::{Sha256, Sha512};
use uuid::Uuid;

use super::catalogue::{Operation, guarded};
use super::key_for;
use super::side::Side;
use crate::world::{Session, World};

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// The key that the world under test signs its tokens with.
fn key(world: &World) -> [u8; 32] {
    world.running.office.keyring.derive(KeyUse::Tokens)
}

fn grant(session: &Session, kind: OrganisationKind, epoch: u64) -> Grant {
    Grant {
        client_id: ClientId::new(session.credentials.client_id),
        organisation_id: OrganisationId::new(session.organisation_id),
        kind,
        scopes: Scopes::of(kind.scopes()),
        epoch,
    }
}

fn minted(world: &World, session: &Session, kind: OrganisationKind, epoch: u64, offset_s: i64) -> String {
    let now = Instant::from_micros(world.running.office.clock.machine_now().micros() + offset_s * 1_000_000);
    let token_id = Uuid::from_u128(world.handout.product_id.as_u128() ^ u128::from(offset_s.unsigned_abs()));
    TokenSigner::new(key(world)).mint(&grant(session, kind, epoch), token_id, now).unwrap()
}

/// A token of these parts, with the signature that `sign` makes of them.
fn forged(header: &str, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn hs256(key: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |message| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }
}

fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Sends the operation with these `Authorization` fields and wants 401.
async fn assert_unauthenticated(world: &World, own: &Side, operation: &Operation, fields: &[String], why: &str) {
    let call = own.fresh(operation).await;
    let head = world.running.office.archive.journal_head().unwrap();
    let mut request = call.request(&world.http, &world.handout.url);
    if let Some(key) = key_for(operation) {
        request = request.header("X-Idempotency-Key", key);
    }
    for field in fields {
        request = request.header("Authorization", field);
    }
    let reply = call.reply(request).await;
    assert_eq!(reply.status, 401, "{} with {why}: {}", operation.id, reply.text);
    let challenge = "Bearer realm=\"scrip\", error=\"invalid_token\"";
    assert_eq!(reply.headers["www-authenticate"], challenge, "{} with {why}", operation.id);
    assert_eq!(reply.body["code"], "unauthenticated", "{} with {why}", operation.id);
    assert_eq!(world.running.office.archive.journal_head().unwrap(), head, "{} with {why}", operation.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn t05_only_a_token_that_holds_opens_an_operation() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    for operation in guarded() {
        let session = own.caller(&operation);
        let again = world.session(&session.credentials, session.organisation_id, None).await;
        revoke(&world, &again).await;
        let good = &session.token;
        let minted = |offset_s| minted(&world, session, operation.kind, 1, offset_s);
        let bearer = |token: &str| vec![format!("Bearer {token}")];
        for (why, fields) in [
            ("no token", vec![]),
            ("an empty token", vec!["Bearer ".to_owned()]),
            ("another scheme", vec![format!("Basic {good}")]),
            ("no scheme", vec![good.clone()]),
            ("two words", vec![format!("Bearer {good} {good}")]),
            ("no JWT", bearer("abc")),
            ("two segments", bearer(good.rsplit_once('.').unwrap().0)),
            ("a cut token", bearer(&good[..good.len() - 4])),
            ("an expired token", bearer(&minted(-15 * 60 - 61))),
            ("a token whose time has not come", bearer(&minted(62))),
            ("a revoked token", bearer(&again.token)),
        ] {
            assert_unauthenticated(&world, &own, &operation, &fields, why).await;
        }
        let still = own.fresh(&operation).await;
        let still = if operation.is_mutating() { still.with_query("dry_run=true") } else { still };
        let mut leeway = session.clone();
        leeway.token = minted(-15 * 60 - 30);
        assert_eq!(still.send(&world, &leeway, None).await.status, 200, "{} within the leeway", operation.id);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t05_tokens_of_a_revoked_client_and_of_an_older_epoch_are_refused_after_a_restart() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let other = world.tenant(OrganisationKind::Issuer, "Other").await;
    let (desk, now) = (world.running.office.desk.clone(), world.running.office.clock.now());
    desk.run(RevokeClient { client_id: ClientId::new(other.credentials.client_id) }, now).await.unwrap();
    drop(desk);
    let world = World::start_in(world.stop().await, |_| {}).await;
    let own = own.moved_to(&world.handout.url);
    for operation in guarded() {
        let session = own.caller(&operation);
        let old = minted(&world, session, operation.kind, 0, 0);
        assert_unauthenticated(&world, &own, &operation, &[format!("Bearer {old}")], "an older epoch").await;
        let field = format!("Bearer {}", other.token);
        assert_unauthenticated(&world, &own, &operation, &[field], "the token of a revoked client").await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t07_one_algorithm_one_key_one_issuer_and_one_audience() {
    let world = World::start().await;
    let own = Side::of_new_tenants(&world, "Own").await;
    let key = key(&world);
    for operation in guarded() {
        let session = own.caller(&operation);
        let claims = claims_of(&minted(&world, session, operation.kind, 1, 0));
        let with = |change: Value| crate::world::merged(claims.clone(), change);
        let mut forger = session.clone();
        forger.token = forged(HEADER, &claims, hs256(&key));
        let call = own.fresh(&operation).await;
        let call = if operation.is_mutating() { call.with_query("dry_run=true") } else { call };
        assert_eq!(call.send(&world, &forger, None).await.status, 200, "{}: the forger knows the form", operation.id);
        for (why, token) in forgeries(&claims, &with, &key) {
            assert_unauthenticated(&world, &own, &operation, &[format!("Bearer {token}")], &why).await;
        }
    }
    world.stop().await;
}

/// Tokens that are signed with the true key but say something else in their header or claims, and tokens signed otherwise.
fn forgeries(claims: &Value, with: &dyn Fn(Value) -> Value, key: &[u8; 32]) -> Vec<(String, String)> {
    let none = |_: &[u8]| Vec::new();
    let hs512 = |message: &[u8]| {
        let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    };
    let mut forgeries = vec![
        ("alg none".to_owned(), forged(r#"{"typ":"JWT","alg":"none"}"#, claims, none)),
        ("no signature".to_owned(), forged(HEADER, claims, none)),
        ("HS512".to_owned(), forged(r#"{"typ":"JWT","alg":"HS512"}"#, claims, hs512)),
        ("another key".to_owned(), forged(HEADER, claims, hs256(&[0; 32]))),
        ("an empty key".to_owned(), forged(HEADER, claims, hs256(b""))),
    ];
    for header in [
        r#"{"typ":"JWT","alg":"none"}"#,
        r#"{"typ":"JWT","alg":"None"}"#,
        r#"{"typ":"JWT","alg":"RS256"}"#,
        r#"{"typ":"JWT","alg":"ES256"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"../../../dev/null"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"' OR 1=1 --"}"#,
        r#"{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
        r#"{"typ":"JWT","alg":"HS256","jku":"http://127.0.0.1/keys"}"#,
        r#"{"typ":"JWT","alg":"HS256","x5u":"http://127.0.0.1/chain"}"#,
        r#"{"typ":"JWT","alg":"HS256","crit":["exp"]}"#,
    ] {
        forgeries.push((header.to_owned(), forged(header, claims, hs256(key))));
    }
    for change in [
        json!({"aud": "another-api"}),
        json!({"aud": ["scrip-api", "another-api"]}),
        json!({"iss": "https://attacker.example"}),
        json!({"aud": null}),
        json!({"iss": null}),
        json!({"exp": null}),
        json!({"nbf": null}),
        json!({"jti": null}),
        json!({"kind": "root"}),
        json!({"admin": true}),
    ] {
        forgeries.push((change.to_string(), forged(HEADER, &with(change), hs256(key))));
    }
    forgeries
}

async fn revoke(world: &World, session: &Session) {
    let credentials = &session.credentials;
    let form = [
        ("token", session.token.clone()),
        ("client_id", credentials.client_id.to_string()),
        ("client_secret", credentials.client_secret.clone()),
    ];
    let answer = world.http.post(format!("{}/oauth/revoke", world.handout.url)).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

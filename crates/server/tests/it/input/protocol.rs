//! Media types and methods.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{Scene, operations};
use crate::contract;
use crate::world::{Reply, make_key};

#[tokio::test(flavor = "multi_thread")]
async fn a07_a_body_of_another_media_type_is_415() {
    let scene = Scene::start().await;
    let before = scene.head();
    for act in scene.acts() {
        let target = (&act.method, act.path.as_str());
        for stated in [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/jsonp",
            "application/vnd.api+json",
            "application/merge-patch+json",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json, text/plain",
            "application/",
            "json",
            "",
        ] {
            let fields = [("Content-Type", stated), ("X-Idempotency-Key", &make_key())];
            let reply = scene.send(&act.session, target, &fields, act.body.to_string()).await.expect(415);
            assert!(reply.body["detail"].as_str().unwrap().contains("application/json"), "{}", reply.text);
        }
        let key = make_key();
        let missing = [("X-Idempotency-Key", key.as_str())];
        scene.send(&act.session, target, &missing, act.body.to_string()).await.expect(415);
        let twice = [("Content-Type", "application/json"), ("Content-Type", "text/plain"), missing[0]];
        scene.send(&act.session, target, &twice, act.body.to_string()).await.expect(415);
    }
    for (path, session) in [("/distributor/v2/documents/", &scene.distributor), ("/issuer/v2/documents/", &scene.issuer)] {
        for stated in ["application/json", "application/pdf", "multipart/form-data", "multipart/mixed; boundary=x"] {
            let fields = [("Content-Type", stated), ("X-Idempotency-Key", &make_key())];
            let reply = scene.send(session, (&Method::POST, path), &fields, "{}").await.expect(415);
            assert!(reply.body["detail"].as_str().unwrap().contains("multipart/form-data"), "{}", reply.text);
        }
    }
    // The token endpoint refuses in the form of RFC 6749.
    for path in ["/oauth/token", "/oauth/revoke"] {
        let fields = [("Content-Type", "application/json")];
        let reply = scene.send(&scene.distributor, (&Method::POST, path), &fields, "{}").await.expect(400);
        assert_eq!(reply.body["error"], "invalid_request");
    }
    assert_eq!(scene.head(), before);
}

/// An operation without a body needs no content type, whatever is stated where nothing stands.
#[tokio::test(flavor = "multi_thread")]
async fn a07_a_post_without_a_body_needs_no_content_type() {
    let scene = Scene::start().await;
    let path = format!("/distributor/v2/investments/{}/credits/?dry_run=true", scene.investment_id);
    for fields in [&[][..], &[("Content-Type", "text/plain")], &[("Content-Type", "application/json")]] {
        scene.send(&scene.distributor, (&Method::POST, &path), fields, "").await.expect(409);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a07_an_accept_field_that_cannot_be_served_is_406_on_every_operation() {
    let scene = Scene::start().await;
    let before = scene.head();
    for (method, template, operation) in operations() {
        if !template.starts_with("/api/") || template.ends_with("/content/") {
            continue;
        }
        let path = scene.filled(template);
        assert!(operation["responses"]["406"].is_object(), "{method} {template} does not declare 406");
        for accept in ["text/html", "application/xml", "image/*", "application/json;q=0", "*/*;q=0", "application/problem+json"] {
            let fields = [("Accept", accept), ("X-Idempotency-Key", &make_key()), ("Content-Type", "application/json")];
            scene.send(scene.session_of(&path), (&method, &path), &fields, "{}").await.expect(406);
        }
        for accept in ["*/*", "application/*", "text/html, application/json;q=0.1", "Application/JSON", ""] {
            let fields = [("Accept", accept)];
            let reply = scene.send(scene.session_of(&path), (&method, &path), &fields, "").await;
            assert_ne!(reply.status, 406, "{method} {path} {accept}");
        }
    }
    assert_eq!(scene.head(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a08_an_unlisted_method_is_405_with_allow_on_every_path() {
    let scene = Scene::start().await;
    let before = scene.head();
    for (template, item) in contract::DOCUMENT["paths"].as_object().unwrap() {
        let mut declared: BTreeSet<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if declared.contains("GET") {
            declared.insert("HEAD".to_owned());
        }
        let path = if template.starts_with("/api/") { scene.filled(template) } else { format!("/..{template}") };
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X"] {
            if declared.contains(method) {
                continue;
            }
            let session = scene.session_of(&path);
            let request = scene.world.http.request(method.parse().unwrap(), format!("{}{path}", session.url));
            let request = request.bearer_auth(&session.token).header("X-Idempotency-Key", make_key());
            let answer = request.header("Content-Type", "application/json").body("{}").send().await.unwrap();
            assert_eq!(answer.status(), 405, "{method} {template}");
            let allow = answer.headers().get("allow").unwrap_or_else(|| panic!("{method} {template}: no Allow"));
            let allowed: BTreeSet<String> = allow.to_str().unwrap().split(',').map(|one| one.trim().to_owned()).collect();
            assert_eq!(allowed, declared, "{method} {template}");
            let text = answer.text().await.unwrap();
            assert!(method == "HEAD" || text.contains("/api/problems/method-not-allowed"), "{method} {template}: {text}");
            assert!(!text.contains(&session.token), "{method} {template} gives the token back");
        }
    }
    assert_eq!(scene.head(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a08_method_overrides_are_ignored() {
    let scene = Scene::start().await;
    let investment = format!("/distributor/v2/investments/{}/", scene.investment_id);
    let before = scene.head();
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"] {
        for method in ["PATCH", "DELETE", "POST", "TRACE"] {
            let fields = [(name, method), ("Content-Type", "application/json")];
            let body = json!({"accepted_at": crate::world::GUIDE_DATE}).to_string();
            let read = scene.send(&scene.distributor, (&Method::GET, &investment), &fields, body).await.expect(200);
            assert_eq!(read.body["accepted_at"], serde_json::Value::Null);
        }
    }
    for name in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"] {
        let fields = [(name, "/api/issuer/v2/products/")];
        let read: Reply = scene.send(&scene.distributor, (&Method::GET, &investment), &fields, "").await.expect(200);
        assert_eq!(read.body["id"], scene.investment_id);
    }
    scene.distributor.get(&format!("{investment}?_method=PATCH")).await.expect_fault("?_method", "unknown_field");
    assert_eq!(scene.head(), before);
}

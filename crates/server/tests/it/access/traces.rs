//! Row T06: a token belongs into its header, and into no log.

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::call::{Call, Payload};
use super::catalogue::guarded;
use super::key_for;
use crate::idempotency::process::Process;
use domain::organisation::OrganisationKind;

#[tokio::test(flavor = "multi_thread")]
async fn t06_a_token_in_a_query_or_a_form_is_never_accepted_and_never_logged() {
    let folder = tempfile::tempdir().unwrap();
    let program = Process::start(folder.path(), &["--rate-limit", "off"], "debug").await;
    let issuer = program.token(&program.handout.issuer).await;
    let distributor = program.token(&program.handout.distributor).await;
    for operation in guarded() {
        let token = if operation.kind == OrganisationKind::Issuer { &issuer } else { &distributor };
        let call = Call::new(&operation, Payload::Empty, |_| Uuid::nil().to_string());
        let mut requests = Vec::new();
        for name in ["access_token", "token", "authorization", "bearer"] {
            let in_query = call.with_query(&format!("{name}={token}"));
            requests.push((in_query.clone(), in_query.request(&program.http, &program.handout.url)));
            let in_form = call.request(&program.http, &program.handout.url).form(&[(name, token)]);
            requests.push((call.clone(), in_form));
        }
        for (call, mut request) in requests {
            if let Some(key) = key_for(&operation) {
                request = request.header("X-Idempotency-Key", key);
            }
            let reply = call.reply(request).await;
            assert_eq!(reply.status, 401, "{}: {}", operation.id, reply.text);
            let challenge = "Bearer realm=\"scrip\", error=\"invalid_token\"";
            assert_eq!(reply.headers["www-authenticate"], challenge, "{}", operation.id);
            assert!(!reply.text.contains(token.as_str()), "{}: the token is echoed", operation.id);
        }
    }
    let reply = program.send(Method::GET, "/issuer/v2/products/", &issuer, None, None).await.expect(200);
    assert_ne!(reply.body["count"], Value::from(0), "the tokens are good ones");
    let said = program.said();
    let lines = said.lines().filter(|line| line.contains("scrip::access")).count();
    assert!(lines > guarded().len() * 8, "{lines} requests were logged");
    for secret in [&issuer, &distributor, &program.handout.issuer.client_secret, &program.handout.distributor.client_secret] {
        let signature = secret.rsplit('.').next().unwrap();
        // The hand-out on the standard output is where the secrets of a sandbox are shown.
        let log = std::fs::read_to_string(folder.path().join("stderr.log")).unwrap();
        assert!(!log.contains(signature), "a secret is in the log");
    }
    program.kill();
}

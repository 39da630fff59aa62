//! Row T06: a token belongs into its header, and into no log.

use domain::organisation::OrganisationKind;
use uuid::Uuid;

use super::call::{Call, Payload};
use super::catalogue::guarded;
use super::key_for;
use crate::process::{Process, log_path};

#[tokio::test(flavor = "multi_thread")]
async fn t06_a_token_in_a_query_or_a_form_is_never_accepted_and_never_logged() {
    let folder = tempfile::tempdir().unwrap();
    let program = Process::start_logging(folder.path(), &[], "debug").await;
    let issuer = program.issuer().await;
    let distributor = program.distributor().await;
    for operation in guarded() {
        let token = if operation.kind == OrganisationKind::Issuer { &issuer.token } else { &distributor.token };
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
    let count = &issuer.get("/issuer/v2/products/").await.expect(200).body["count"];
    assert_eq!(count, 1, "the tokens are good ones");
    let said = said_of_every_request(&log_path(folder.path()), guarded().len() * 8).await;
    for session in [&issuer, &distributor] {
        let signature = session.token.rsplit('.').next().unwrap();
        for secret in [signature, &session.credentials.client_secret] {
            assert!(!said.contains(secret), "a secret is in the log");
        }
    }
    program.kill();
}

/// What the program logged, once a line for each of so many requests is there: lines are gathered before they are written.
async fn said_of_every_request(path: &std::path::Path, requests: usize) -> String {
    for _poll in 0..500 {
        let said = std::fs::read_to_string(path).unwrap();
        if said.lines().filter(|line| line.contains("scrip::access")).count() > requests {
            return said;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not every request was logged");
}

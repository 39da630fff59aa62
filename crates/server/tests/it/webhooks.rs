//! Receivers of webhooks: what they are told, how often, and who is not told (rows H01 to H04, H07 to H09, H11 to H15).

mod unrecorded;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::ids::OrganisationId;
use domain::organisation::OrganisationKind;
use domain::webhook::{OutboxChange, WebhookState};
use reqwest::Method;
use serde_json::{Value, json};
use server::operations::webhook::{RemoveWebhook, RotateSecret, SetWebhook, SettleOutbox};
use server::receivers::{Reach, UrlFault};
use server::verify::verify;
use standardwebhooks::Webhook as Verifier;
use store::Reader;
use uuid::Uuid;

use crate::process::Process;
use crate::world::{GUIDE_DATE, World, database_of};

/// How often something is looked for that background work brings about; together a minute.
const POLLS_MAX: u32 = 6_000;
/// Longer than the relay waits between two looks.
const SILENCE: Duration = Duration::from_millis(800);

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub body: Value,
}

impl Received {
    pub fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    fn is_signed_by(&self, secret: &str) -> bool {
        Verifier::new(secret).unwrap().verify(&self.bytes, &self.headers).is_ok()
    }
}

/// What a receiver answers: a status, and a header.
type Answer = (u16, Option<(&'static str, String)>);

#[derive(Default)]
struct Desk {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Answer>>,
    /// What is answered when nothing is planned; 0 for 200.
    else_answer: Mutex<u16>,
    /// Nothing is answered while somebody writes here.
    held: tokio::sync::RwLock<()>,
}

/// Somebody who receives webhooks, on this machine.
pub struct Receiver {
    pub url: String,
    desk: Arc<Desk>,
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, bytes: Bytes) -> (StatusCode, HeaderMap) {
    let body = serde_json::from_slice(&bytes).unwrap();
    desk.received.lock().unwrap().push(Received { headers, bytes, body });
    let _let_go = desk.held.read().await;
    let planned = desk.answers.lock().unwrap().pop_front();
    let (status, header) = planned.unwrap_or_else(|| (*desk.else_answer.lock().unwrap(), None));
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(name, value.parse().unwrap());
    }
    (StatusCode::from_u16(if status == 0 { 200 } else { status }).unwrap(), headers)
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let desk = Arc::new(Desk::default());
        let router = Router::new().fallback(take).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk }
    }

    /// Plans the next answers.
    fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.desk.answers.lock().unwrap().extend(answers);
    }

    fn answer_always(&self, status: u16) {
        *self.desk.else_answer.lock().unwrap() = status;
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.desk.received.lock().unwrap().clone()
    }

    /// Waits until so many messages have arrived.
    pub async fn await_events(&self, count: usize) -> Vec<Received> {
        for _poll in 0..POLLS_MAX {
            let messages = self.received();
            if messages.len() >= count {
                return messages;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} messages arrived", self.received().len());
    }
}

/// Waits until so many events wait for an organisation.
pub async fn await_waiting(archive: &Reader, organisation_id: OrganisationId, count: u64) {
    for _poll in 0..POLLS_MAX {
        if archive.events_waiting(organisation_id).unwrap() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} events wait", archive.events_waiting(organisation_id).unwrap());
}

fn platform_of(world: &World) -> OrganisationId {
    OrganisationId::new(world.handout.distribution_platform_id)
}

/// Sets a webhook up; its secret, where it is new.
async fn set(world: &World, organisation_id: OrganisationId, url: &str, bearer: Option<&str>) -> Option<String> {
    let office = &world.running.office;
    let stored = office.archive.webhook(organisation_id).unwrap();
    let order = SetWebhook { organisation_id, url: url.to_owned(), bearer: bearer.map(str::to_owned), stored };
    office.desk.run(order, office.clock.now()).await.unwrap()
}

async fn turn(world: &World, duration: &str) {
    let request = world.http.request(Method::POST, format!("{}/sandbox/clock/", world.handout.url));
    assert_eq!(request.json(&json!({"advance": duration})).send().await.unwrap().status(), 200);
}

async fn verified(world: World) {
    let folder = world.stop().await;
    let data = folder.path().join("data");
    verify(&data, database_of(folder.path()).as_deref()).await.unwrap();
}

/// The statuses that a receiver was told of an investment, in the order of their sequence, and that they ascend.
fn told(messages: &[Received], investment: &str) -> Vec<String> {
    let mut told: BTreeMap<(u64, String), String> = BTreeMap::new();
    for one in messages.iter().filter(|one| one.body["investment_id"] == investment) {
        let (event, status) = (one.body["event"].as_str().unwrap(), one.body["status"].as_str().unwrap());
        told.insert((one.body["sequence"].as_u64().unwrap(), event.to_owned()), status.to_owned());
    }
    told.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn h12_h14_h15_a_platform_is_told_every_status_signed_and_nothing_about_persons() {
    let world = World::start().await;
    let (receiver, issuers, stranger) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let secret = set(&world, platform_of(&world), &receiver.url, Some("opensesame")).await.unwrap();
    let issuer = OrganisationId::new(world.issuer().await.organisation_id);
    set(&world, issuer, &issuers.url, None).await.unwrap();
    let other = world.tenant(OrganisationKind::Distributor, "Somebody else").await.organisation_id;
    set(&world, OrganisationId::new(other), &stranger.url, None).await.unwrap();

    let (campaign, session) = (world.campaign(json!({})).await, world.distributor().await);
    let investment = world.investment(&campaign, json!({})).await.expect(201).id();
    let path = format!("/distributor/v2/investments/{investment}/");
    for document in world.signed_documents(&session).await.as_array().unwrap() {
        session.post(&format!("{path}signed-documents/"), document).await.expect(201);
    }
    let facts = [json!({"accepted_at": GUIDE_DATE}), json!({"wallet": world.handout.wallet_id}), json!({"paid_at": GUIDE_DATE})];
    for fact in &facts {
        session.patch(&path, fact).await.expect(200);
        // The same again is no change, and no event.
        session.patch(&path, fact).await.expect(200);
    }
    let credit = session.post_empty(&format!("{path}credits/")).await.expect(201).id();
    session.ended_credit(&investment, &credit).await;
    // Both are decided together, and refused ones change nothing.
    session.patch(&path, &json!({"accepted_at": null})).await.expect(409);

    let messages = receiver.await_events(5).await;
    let expected = ["WAITING_FOR_ACCEPTANCE", "ACCEPTED", "PAID", "succeeded", "DELIVERED"];
    assert_eq!(told(&messages, &investment), expected);
    let arrived: Vec<u64> = messages.iter().map(|one| one.body["sequence"].as_u64().unwrap()).collect();
    assert!(arrived.is_sorted(), "in order: {arrived:?}");
    for one in &messages {
        assert!(one.is_signed_by(&secret), "{one:?}");
        assert_eq!(one.headers["authorization"], "Bearer opensesame");
        assert_eq!(one.headers["content-type"], "application/json");
        assert_eq!(one.body["id"], one.id());
        let fields: Vec<&str> = one.body.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match one.body["event"].as_str().unwrap() {
            "credit.finished" => &["changed_at", "credit_id", "event", "id", "investment_id", "sequence", "status"],
            _ => &["changed_at", "event", "id", "investment_id", "sequence", "status"],
        };
        assert_eq!(fields, expected);
    }
    let finished = messages.iter().find(|one| one.body["event"] == "credit.finished").unwrap();
    assert_eq!(finished.body["credit_id"], credit);
    assert_eq!(told(&issuers.await_events(5).await, &investment), expected, "the issuer is told the same");
    for organisation in [platform_of(&world), issuer] {
        await_waiting(&world.running.office.archive, organisation, 0).await;
    }
    assert_eq!((receiver.received().len(), stranger.received().len()), (5, 0), "once each, and nobody else");

    let forged = Received { bytes: Bytes::from_static(b"{}"), ..messages[0].clone() };
    assert!(!forged.is_signed_by(&secret));
    let mut renamed = messages[0].clone();
    renamed.headers.insert("webhook-id", messages[1].headers["webhook-id"].clone());
    assert!(!renamed.is_signed_by(&secret));
    let mut old = messages[0].clone();
    old.headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
    assert!(!old.is_signed_by(&secret));
    verified(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h12_for_a_day_after_a_change_both_secrets_sign() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let first = set(&world, platform_of(&world), &receiver.url, None).await.unwrap();
    assert_eq!(set(&world, platform_of(&world), &receiver.url, Some("token")).await, None, "it keeps its secret");
    let office = &world.running.office;
    let stored = office.archive.webhook(platform_of(&world)).unwrap().unwrap();
    let second = office.desk.run(RotateSecret { stored }, office.clock.now()).await.unwrap();
    let campaign = world.campaign(json!({})).await;
    world.investment(&campaign, json!({})).await.expect(201);
    let both = receiver.await_events(1).await.remove(0);
    assert!(both.is_signed_by(&first) && both.is_signed_by(&second));
    turn(&world, "P1DT1S").await;
    world.investment(&campaign, json!({})).await.expect(201);
    let one = receiver.await_events(2).await.remove(1);
    assert!(!one.is_signed_by(&first) && one.is_signed_by(&second));
    verified(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h07_a_receiver_that_fails_for_days_rests_and_gets_everything_when_it_is_replayed() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    set(&world, platform_of(&world), &receiver.url, None).await.unwrap();
    let (archive, platform) = (&world.running.office.archive, platform_of(&world));
    receiver.answer_always(500);
    let campaign = world.campaign(json!({})).await;
    let investment = world.investment(&campaign, json!({})).await.expect(201).id();
    let later = ["PT6S", "PT6M", "PT34M", "PT3H", "PT6H", "PT12H", "PT16H", "PT23H", "PT27H"];
    for (tries, pause) in (1..).zip(later) {
        receiver.await_events(tries).await;
        await_attempts(&world, tries as u64).await;
        turn(&world, pause).await;
    }
    let messages = receiver.await_events(10).await;
    await_state(&world, |state| matches!(state, WebhookState::Resting { .. })).await;
    let ids: Vec<&str> = messages.iter().map(Received::id).collect();
    assert_eq!(ids, [ids[0]; 10], "every try has the same id");
    turn(&world, "P10D").await;
    world.investment(&campaign, json!({})).await.expect(201);
    tokio::time::sleep(SILENCE).await;
    assert_eq!(receiver.received().len(), 10, "a webhook that rests is not told");
    assert_eq!(archive.events_waiting(platform).unwrap(), 2, "what happens meanwhile waits");
    receiver.answer_always(200);
    let office = &world.running.office;
    let changes = vec![OutboxChange::Replayed { organisation_id: platform, due_at: office.clock.now() }];
    office.desk.run(SettleOutbox { changes }, office.clock.now()).await.unwrap();
    let messages = receiver.await_events(12).await;
    assert_eq!(messages.iter().filter(|one| one.id() == ids[0]).count(), 11);
    assert_eq!(told(&messages[10..], &investment), ["WAITING_FOR_ACCEPTANCE"]);
    await_waiting(archive, platform, 0).await;
    verified(world).await;
}

/// Waits until an event of the platform was noted as tried so often.
async fn await_attempts(world: &World, attempts: u64) {
    let far = world.running.office.clock.now().checked_add_micros(90 * 86_400_000_000).unwrap();
    for _poll in 0..POLLS_MAX {
        let waiting = world.running.office.archive.events_due(platform_of(world), far, 10).unwrap();
        if waiting.first().is_some_and(|waiting| waiting.attempts == attempts) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the event is not noted as tried {attempts} times");
}

async fn await_state(world: &World, is_it: impl Fn(WebhookState) -> bool) {
    for _poll in 0..POLLS_MAX {
        let webhook = world.running.office.archive.webhook(platform_of(world)).unwrap().unwrap();
        if is_it(webhook.state) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the webhook does not come to that state");
}

#[tokio::test(flavor = "multi_thread")]
async fn h03_h11_redirects_are_not_followed_pauses_are_kept_and_gone_is_gone() {
    let world = World::start().await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    set(&world, platform_of(&world), &receiver.url, None).await.unwrap();
    let campaign = world.campaign(json!({})).await;
    receiver.answer([
        (302, Some(("location", elsewhere.url.clone()))),
        (429, Some(("retry-after", "1800".to_owned()))),
        (200, None),
        (410, None),
    ]);
    world.investment(&campaign, json!({})).await.expect(201);
    receiver.await_events(1).await;
    await_attempts(&world, 1).await;
    turn(&world, "PT6S").await;
    receiver.await_events(2).await;
    await_attempts(&world, 2).await;
    // Due by its own schedule, but the receiver asked for half an hour.
    turn(&world, "PT6M").await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!((receiver.received().len(), elsewhere.received().len()), (2, 0));
    turn(&world, "PT25M").await;
    receiver.await_events(3).await;
    await_waiting(&world.running.office.archive, platform_of(&world), 0).await;
    world.investment(&campaign, json!({})).await.expect(201);
    receiver.await_events(4).await;
    await_state(&world, |state| matches!(state, WebhookState::Resting { .. })).await;
    turn(&world, "P5D").await;
    tokio::time::sleep(SILENCE).await;
    assert_eq!((receiver.received().len(), elsewhere.received().len()), (4, 0));
    verified(world).await;
}

/// A receiver that never answers keeps its own events waiting, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn h08_a_receiver_that_never_answers_keeps_nobody_else_waiting() {
    let world = World::start().await;
    let pit = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuers = Receiver::start().await;
    set(&world, platform_of(&world), &format!("http://{}/", pit.local_addr().unwrap()), None).await.unwrap();
    set(&world, OrganisationId::new(world.issuer().await.organisation_id), &issuers.url, None).await.unwrap();
    let campaign = world.campaign(json!({})).await;
    for _investment in 0..20 {
        world.investment(&campaign, json!({})).await.expect(201);
    }
    issuers.await_events(20).await;
    assert_eq!(world.running.office.archive.events_waiting(platform_of(&world)).unwrap(), 20);
    drop(pit);
    verified(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_removes_a_webhook_is_told_nothing_more_and_begins_anew_with_another_secret() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let first = set(&world, platform_of(&world), &receiver.url, None).await.unwrap();
    let office = &world.running.office;
    receiver.answer_always(500);
    let campaign = world.campaign(json!({})).await;
    world.investment(&campaign, json!({})).await.expect(201);
    await_attempts(&world, 1).await;
    let stored = office.archive.webhook(platform_of(&world)).unwrap().unwrap();
    office.desk.run(RemoveWebhook { stored }, office.clock.now()).await.unwrap();
    assert_eq!(office.archive.events_waiting(platform_of(&world)).unwrap(), 0);
    world.investment(&campaign, json!({})).await.expect(201);
    assert_eq!(office.archive.events_waiting(platform_of(&world)).unwrap(), 0);
    let arrived = receiver.received().len();
    receiver.answer_always(200);
    let second = set(&world, platform_of(&world), &receiver.url, None).await.unwrap();
    assert_ne!(first, second);
    let investment = world.investment(&campaign, json!({})).await.expect(201).id();
    let messages = receiver.await_events(arrived + 1).await;
    let newest = messages.last().unwrap();
    assert_eq!(newest.body["investment_id"], investment.as_str());
    assert!(newest.is_signed_by(&second) && !newest.is_signed_by(&first));
    verified(world).await;
}

/// The secret is shown once, and lies nowhere in the open.
#[tokio::test(flavor = "multi_thread")]
async fn h13_secrets_lie_sealed_and_the_command_line_shows_them_once() {
    let folder = tempfile::tempdir().unwrap();
    crate::world::keep_embedded(folder.path());
    let receiver = Receiver::start().await;
    let process = Process::start(folder.path(), &[]).await;
    let (data, platform) = (folder.path().join("data"), process.handout.distribution_platform_id.to_string());
    let bearer = folder.path().join("bearer");
    std::fs::write(&bearer, "canary-of-a-bearer-token\n").unwrap();
    let scrip = |arguments: &[&str]| {
        let output = crate::process::run(arguments, &data);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let of = ["--organisation-id", &platform];
    let bearer_file = bearer.to_str().unwrap();
    let set = scrip(&[&["webhook", "set", "--url", &receiver.url, "--bearer-file", bearer_file][..], &of].concat());
    let set: Value = serde_json::from_str(&set).unwrap();
    let secret = set["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap().to_owned();
    let listed: Value = serde_json::from_str(&scrip(&["webhook", "list"])).unwrap();
    assert_eq!((&listed["state"], &listed["waiting"], &listed["url"]), (&json!("active"), &json!(0), &json!(receiver.url)));
    let rotated: Value = serde_json::from_str(&scrip(&[&["webhook", "rotate"][..], &of].concat())).unwrap();
    let replayed: Value = serde_json::from_str(&scrip(&[&["webhook", "replay"][..], &of].concat())).unwrap();
    assert_eq!(replayed["state"], "active");
    let second = rotated["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap().to_owned();
    process.terminate();
    assert!(process.ended().await.success());
    let files = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let files: Vec<Vec<u8>> = files.map(|path| std::fs::read(path).unwrap()).collect();
    let lies_open = |text: &str| files.iter().any(|file| file.windows(text.len()).any(|window| window == text.as_bytes()));
    assert!(lies_open(&receiver.url), "what lies in the open is found");
    for canary in ["canary-of-a-bearer-token", &secret, &second] {
        assert!(!lies_open(canary), "{canary}");
    }
    scrip(&[&["webhook", "remove"][..], &of].concat());
    let refused = crate::process::run(&[&["webhook", "replay"][..], &of].concat(), &data);
    crate::process::expect_failure(&refused, "has no webhook");
    let nobody = Uuid::max().to_string();
    let refused = crate::process::run(&["webhook", "set", "--url", "https://example.com/", "--organisation-id", &nobody], &data);
    crate::process::expect_failure(&refused, "NotFound");
    let refused = crate::process::run(&["webhook", "set", "--url", "https://10.0.0.1/", "--organisation-id", &platform], &data);
    crate::process::expect_failure(&refused, "not public");
}

/// This machine, its networks and what is mapped to them, however they are written.
const HOSTS_INSIDE: &str = "127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 127.255.255.254 0.0.0.0 0 10.0.0.1 10.255.1.2
    172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.1 169.254.169.254 2852039166 0xA9FEA9FE 169.254.0.1 100.64.0.1
    100.127.255.255 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255 [::] [::1] [::ffff:127.0.0.1] [::ffff:10.0.0.1] [::ffff:169.254.169.254]
    [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::1] [fe80::1] [fc00::1] [fd12:3456::1] [ff02::1] [fec0::1] [2001::1]
    [2001:db8::1] [2002:7f00:1::] [3fff::1] [100::1] [5f00::1] localhost LOCALHOST sub.localhost localhost. example.com.
    127.0.0.1. metadata intranet";
const URLS_ADMITTED: [&str; 4] =
    ["https://example.com/hook", "https://example.com:8443/hook?a=b", "https://93.184.216.34/", "https://[2606:2800::1]/"];
const URLS_OF_OWN_MACHINE: [&str; 4] = ["http://127.0.0.1:8080/", "http://localhost:1/", "http://[::1]:9/", "https://127.0.0.1/"];

#[test]
fn h01_hosts_inside_are_not_admitted() {
    for text in URLS_ADMITTED {
        assert!(Reach::Public.read_url(text).is_ok() && Reach::PublicAndOwnMachine.read_url(text).is_ok(), "{text}");
    }
    for host in HOSTS_INSIDE.split_whitespace() {
        for text in [format!("https://{host}/"), format!("https://{host}:8443/x"), format!("https://{host}")] {
            assert!(Reach::Public.read_url(&text).is_err(), "{text}");
        }
    }
    for text in URLS_OF_OWN_MACHINE {
        assert!(Reach::PublicAndOwnMachine.read_url(text).is_ok() && Reach::Public.read_url(text).is_err(), "{text}");
    }
    for text in ["http://10.0.0.1/", "http://169.254.169.254/", "http://example.com/", "https://192.168.0.1/"] {
        assert!(Reach::PublicAndOwnMachine.read_url(text).is_err(), "{text}");
    }
}

#[test]
fn h04_other_schemes_ports_and_tricks_are_refused_by_name() {
    for (text, fault) in [
        ("http://example.com/", UrlFault::Scheme),
        ("gopher://example.com/", UrlFault::Scheme),
        ("ftp://example.com/", UrlFault::Scheme),
        ("https://example.com:22/", UrlFault::Port),
        ("https://example.com:6379/", UrlFault::Port),
        ("https://example.com:80/", UrlFault::Port),
        ("https://user@example.com/", UrlFault::Credentials),
        (concat!("https://user:", "word@example.com/"), UrlFault::Credentials),
        ("https://example.com/#part", UrlFault::Fragment),
        ("https://example.com/\r\nX: y", UrlFault::NoUrl),
        ("https://exa\tmple.com/", UrlFault::NoUrl),
        ("https://example.com\\@10.0.0.1/", UrlFault::NoUrl),
        ("https://\u{0435}xample.com/", UrlFault::NoUrl),
        ("https://exam\u{2024}ple.com/", UrlFault::NoUrl),
        (" https://example.com/", UrlFault::NoUrl),
        ("file:///etc/passwd", UrlFault::Host),
        ("example.com", UrlFault::NoUrl),
        ("", UrlFault::NoUrl),
    ] {
        assert_eq!(Reach::Public.read_url(text), Err(fault), "{text:?}");
    }
}

/// A name that is looked up when somebody connects is judged by its addresses, not by itself.
#[tokio::test]
async fn h02_addresses_are_looked_at_when_somebody_connects() {
    use reqwest::dns::Resolve;
    use server::receivers::PublicNames;
    let name = || "localhost".parse().unwrap();
    let refused = PublicNames(Reach::Public).resolve(name()).await;
    assert!(refused.is_err(), "the name of this machine has no public address");
    let admitted: Vec<_> = PublicNames(Reach::PublicAndOwnMachine).resolve(name()).await.unwrap().collect();
    assert!(!admitted.is_empty() && admitted.iter().all(|address| address.ip().is_loopback()), "{admitted:?}");
}

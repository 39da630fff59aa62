//! Bad input, over HTTP: whatever arrives is refused with a problem that names the field or the rule, nothing is
//! written, and nothing inside is told.

mod fuzz;
mod json;
mod paging;
mod protocol;
mod text;
mod values;

use domain::journal::Head;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::contract;
use crate::world::{GUIDE_DATE, Reply, Session, World, make_key, merged};

/// A world with something to act on, and a caller of each API.
pub struct Scene {
    pub world: World,
    pub issuer: Session,
    pub distributor: Session,
    pub campaign_id: String,
    /// An open investment.
    pub investment_id: String,
    pub document_id: String,
    delivered_id: String,
    credit_id: String,
    issuer_id: String,
    listing_id: String,
}

/// An operation with a JSON body, and a body that has nothing wrong with it.
#[derive(Clone)]
pub struct Act {
    pub method: Method,
    pub path: String,
    pub session: Session,
    pub body: Value,
}

impl Scene {
    pub async fn start() -> Self {
        let world = World::start().await;
        let (issuer, distributor) = (world.issuer().await, world.distributor().await);
        let campaign_id = world.campaign(json!({})).await;
        let investment_id = world.investment(&campaign_id, json!({})).await.expect(201).id();
        let document_id = distributor.upload("terms.pdf").await.expect(201).id();
        let delivered_id = world.paid_investment(&campaign_id).await;
        let credit = distributor.post_empty(&format!("/distributor/v2/investments/{delivered_id}/credits/")).await.expect(201);
        let credit_id = credit.id();
        assert_eq!(distributor.ended_credit(&delivered_id, &credit_id).await["status"], "succeeded");
        let first = async |path: &str| issuer.get(path).await.expect(200).body["results"][0]["id"].as_str().unwrap().to_owned();
        let (issuer_id, listing_id) = (first("/issuer/v2/issuers/").await, first("/issuer/v2/listings/").await);
        Self {
            world,
            issuer,
            distributor,
            campaign_id,
            investment_id,
            document_id,
            delivered_id,
            credit_id,
            issuer_id,
            listing_id,
        }
    }

    /// Every operation that takes a JSON body.
    pub fn acts(&self) -> Vec<Act> {
        let act = |method, path: String, session: &Session, body| Act { method, path, session: session.clone(), body };
        let investment = format!("/distributor/v2/investments/{}/", self.investment_id);
        let product = format!("/issuer/v2/products/{}/campaigns/", self.world.handout.product_id);
        let document = json!({"document_type": "effecta_document", "document_id": self.document_id});
        let documents = json!({"signed_documents": [document.clone()], "disagio": euros("1"), "accepted_at": GUIDE_DATE});
        let facts = json!({"accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": self.world.handout.wallet_id, "disagio": euros("1")});
        let minimum =
            json!({"rule_type": "minimum_investment_amount", "minimum_investment_amount": euros("100"), "agio_percent": "2.5"});
        vec![
            act(Method::POST, product.clone(), &self.issuer, merged(self.world.campaign_body(), minimum)),
            act(Method::PATCH, format!("{product}{}/", self.campaign_id), &self.issuer, json!({"is_campaign_active": true})),
            act(
                Method::POST,
                "/distributor/v2/investments/".to_owned(),
                &self.distributor,
                merged(self.world.investment_body(&self.campaign_id), documents),
            ),
            act(Method::PATCH, investment.clone(), &self.distributor, facts),
            act(Method::POST, format!("{investment}signed-documents/"), &self.distributor, document),
            act(Method::POST, format!("{investment}cancellation/"), &self.distributor, json!({"cancellation_date": GUIDE_DATE})),
        ]
    }

    /// The operation that creates campaigns.
    pub fn campaign_act(&self) -> Act {
        self.acts().swap_remove(0)
    }

    /// The operation that creates investments.
    pub fn investment_act(&self) -> Act {
        self.acts().swap_remove(2)
    }

    /// A path of the OpenAPI file, without `/api`, with ids that exist and belong to the caller of [`Scene::session_of`].
    pub fn filled(&self, template: &str) -> String {
        let handout = &self.world.handout;
        let investment_id = if template.contains("{credit_id}") { &self.delivered_id } else { &self.investment_id };
        [
            ("{product_id}", &handout.product_id.to_string()),
            ("{campaign_id}", &self.campaign_id),
            ("{investor_id}", &handout.investor_id.to_string()),
            ("{wallet_id}", &handout.wallet_id.to_string()),
            ("{investment_id}", investment_id),
            ("{credit_id}", &self.credit_id),
            ("{document_id}", &self.document_id),
            ("{distribution_platform_id}", &handout.distribution_platform_id.to_string()),
            ("{issuer_id}", &self.issuer_id),
            ("{listing_id}", &self.listing_id),
        ]
        .iter()
        .fold(template.strip_prefix("/api").unwrap_or(template).to_owned(), |path, (name, id)| path.replace(name, id))
    }

    /// Who may call a path.
    pub fn session_of(&self, path: &str) -> &Session {
        if path.contains("/issuer/v2/") { &self.issuer } else { &self.distributor }
    }

    /// Sends bytes as they are; `fields` are header fields beside the token.
    pub async fn send(
        &self,
        session: &Session,
        (method, path): (&Method, &str),
        fields: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut request = self.world.http.request(method.clone(), format!("{}{path}", session.url)).bearer_auth(&session.token);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Reply::of(method, path, request.body(body).send().await.unwrap()).await
    }

    /// Sends bytes as the JSON body of an operation, under a fresh key.
    pub async fn send_json(&self, act: &Act, body: impl Into<reqwest::Body>) -> Reply {
        let key = make_key();
        let fields = [("Content-Type", "application/json"), ("X-Idempotency-Key", &key)];
        self.send(&act.session, (&act.method, &act.path), &fields, body).await
    }

    /// Sends what must be refused with a status, and asserts that it is told where the fault lies and that nothing is
    /// written.
    pub async fn refuse(&self, act: &Act, body: impl Into<reqwest::Body>, status: u16) -> Reply {
        let before = self.head();
        let reply = self.send_json(act, body).await.expect(status);
        assert_eq!(self.head(), before, "{} {} wrote something", act.method, act.path);
        if status == 400 {
            assert_names_faults(&reply);
        }
        reply
    }

    /// Sends what has nothing wrong with its form but breaks a rule: 409 with the rules' names, limits and values.
    pub async fn refuse_by_rule(&self, act: &Act, body: impl Into<reqwest::Body>) -> Reply {
        let before = self.head();
        let reply = self.send_json(act, body).await.expect(409);
        assert_eq!(self.head(), before, "{} {} wrote something", act.method, act.path);
        assert!(!reply.body["failed_rules"].as_array().unwrap().is_empty(), "{}", reply.text);
        reply
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.world.running.office.archive.journal_head().unwrap()
    }

    /// How many objects a list has.
    pub async fn count(&self, path: &str) -> u64 {
        self.session_of(path).get(path).await.expect(200).body["count"].as_u64().unwrap()
    }
}

impl Act {
    /// The body as text, with one member replaced by a literal that need not be JSON. `pointer` is a JSON pointer.
    pub fn text_with(&self, pointer: &str, literal: &str) -> String {
        const MARK: &str = "here-stands-the-literal";
        let mut body = self.body.clone();
        let place = body.pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("{pointer} is not in {}", self.body)) = json!(MARK);
        body.to_string().replace(&format!("\"{MARK}\""), literal)
    }

    /// The body with fields changed; a null takes a field away.
    pub fn with(&self, change: Value) -> String {
        merged(self.body.clone(), change).to_string()
    }
}

/// Money in euros, in cents.
pub fn euros(cents: &str) -> Value {
    json!({"amount": cents, "decimals": 2, "currency": "EUR"})
}

/// A 400 says of each fault where it lies, which one it is, and what is due.
#[track_caller]
pub fn assert_names_faults(reply: &Reply) {
    let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
    assert!(!errors.is_empty(), "no fault is named in {}", reply.text);
    for error in &errors {
        assert!(error["pointer"].is_string() && !error["message"].as_str().unwrap().is_empty(), "{error}");
        let code = error["code"].as_str().unwrap();
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{error}");
    }
}

/// Every operation of the OpenAPI file: its method, its path template and itself.
pub fn operations() -> Vec<(Method, &'static str, &'static Value)> {
    let paths = contract::DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(template, item): (&'static String, &'static Value)| {
        let methods = item.as_object().unwrap().iter();
        methods
            .map(move |(method, operation)| (method.to_uppercase().parse().unwrap(), template.as_str(), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// An id that nothing has.
pub fn unknown_id() -> Uuid {
    Uuid::from_u128(0x0195_892f_7d5e_7000_8000_0000_0000_002a)
}

//! A Scrip of its own for each test, and helpers that speak the API.
//!
//! Every answer that passes here is compared with the OpenAPI file: an undeclared status, media type or body shape fails
//! the test that met it (row A16).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::{InvestorId, OrganisationId, ProductId};
use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use domain::product::Product;
use domain::text::Name;
use domain::wallet::EvmAddress;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use server::handout::Handout;
use server::http::Doors;
use server::operations::client::CreateClient;
use server::operations::investor::{CreateInvestor, KycResult, RecordKyc};
use server::operations::listing::CreateListing;
use server::operations::organisation::CreateOrganisation;
use server::operations::product::CreateProduct;
use server::operations::sandbox::Credentials;
use server::operations::wallet::CreateWallet;
use server::program::{Running, Settings};
use tempfile::TempDir;
use uuid::Uuid;

use crate::contract;

/// The date of the guide's examples.
pub const GUIDE_DATE: &str = "2025-03-12T07:14:13.630308+00:00";
/// How often something is looked for that background work brings about; together a minute.
const POLLS_MAX: u32 = 6_000;

static KEYS: AtomicU64 = AtomicU64::new(1);

/// Chooses the engine: `postgres`, or `sqlite`, which is the default.
const ENGINE_VARIABLE: &str = "SCRIP_TEST_DATABASE";

/// Lies in a test's folder whose database is the embedded one in any case.
const EMBEDDED_NOTE: &str = "embedded-engine";

/// Gives a folder the embedded database, whatever the environment names.
pub fn keep_embedded(folder: &Path) {
    std::fs::write(folder.join(EMBEDDED_NOTE), "").unwrap();
}

/// The database that belongs to a test's folder: `None` for the embedded one, else a new one of the server or that of
/// the world before in this folder.
pub fn database_of(folder: &Path) -> Option<String> {
    if folder.join(EMBEDDED_NOTE).exists() {
        return None;
    }
    match std::env::var(ENGINE_VARIABLE).as_deref() {
        Ok("postgres") => Some(server_database_of(folder)),
        Ok("sqlite") | Err(_) => None,
        Ok(other) => panic!("{ENGINE_VARIABLE} is postgres or sqlite, not {other}"),
    }
}

/// The database of the server that belongs to a test's folder, whatever engine the environment names.
pub fn server_database_of(folder: &Path) -> String {
    let note = folder.join("database-url");
    std::fs::read_to_string(&note).unwrap_or_else(|_| {
        let migrate = |url: &str| store::postgres::Database::open(url).map(drop).map_err(|error| error.to_string());
        let url = cluster::shared().unwrap().url(&cluster::prepared_database(migrate).unwrap());
        std::fs::write(&note, &url).unwrap();
        url
    })
}

/// A key that no other call uses.
pub fn make_key() -> String {
    format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed))
}

/// A running sandbox in a folder of its own.
pub struct World {
    pub running: Running,
    pub handout: Handout,
    pub http: reqwest::Client,
    pub folder: TempDir,
}

/// A client with a token.
#[derive(Clone)]
pub struct Session {
    pub url: String,
    pub token: String,
    pub organisation_id: Uuid,
    pub credentials: Credentials,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl World {
    /// A fresh sandbox without rate limits.
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), |_| {}).await
    }

    /// A fresh sandbox on the embedded engine whatever the environment names, for tests that look into its files.
    pub async fn start_embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        keep_embedded(folder.path());
        Self::start_in(folder, |_| {}).await
    }

    /// A sandbox in a folder that may hold one already. Its database is of the engine that the environment names.
    pub async fn start_in(folder: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            data: folder.path().join("data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            calls_per_second: None,
            doors: Doors::Sandbox,
            database: database_of(folder.path()),
            ..Settings::default()
        };
        change(&mut settings);
        let running = Running::start(&settings).await.unwrap();
        let handout = Handout::of(running.inhabitants.as_ref().unwrap(), running.address);
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { running, handout, http, folder }
    }

    /// Stops the program in order and gives the folder back.
    pub async fn stop(self) -> TempDir {
        self.running.stop().await;
        self.folder
    }

    /// The seeded issuer's client with all its scopes.
    pub async fn issuer(&self) -> Session {
        let product = self.running.office.archive.product_any(ProductId::new(self.handout.product_id)).unwrap().unwrap();
        self.session(&self.handout.issuer, product.organisation_id.uuid(), None).await
    }

    /// The seeded platform's client with all its scopes.
    pub async fn distributor(&self) -> Session {
        self.session(&self.handout.distributor, self.handout.distribution_platform_id, None).await
    }

    /// A session of credentials, with some scopes or all.
    pub async fn session(&self, credentials: &Credentials, organisation_id: Uuid, scope: Option<&str>) -> Session {
        Session::sign_in(&self.http, &self.handout.url, credentials, organisation_id, scope).await
    }

    /// A further tenant with a client that has all scopes of its kind.
    pub async fn tenant(&self, kind: OrganisationKind, name: &str) -> Session {
        let (desk, now) = (&self.running.office.desk, self.running.office.clock.now());
        let organisation = CreateOrganisation { kind, name: Name::parse(name).unwrap() };
        let organisation = desk.run(organisation, now).await.unwrap();
        let created = desk.run(CreateClient { organisation_id: organisation.id }, now).await.unwrap();
        let credentials = Credentials { client_id: created.client.id.uuid(), client_secret: created.secret };
        self.session(&credentials, organisation.id.uuid(), None).await
    }

    /// A further product of the seeded issuer: the seeded product's terms, changed, under an asset code of its own.
    pub async fn product(&self, change: impl FnOnce(&mut domain::product::ProductTerms)) -> Product {
        let office = &self.running.office;
        let seeded = office.archive.product_any(ProductId::new(self.handout.product_id)).unwrap().unwrap();
        let mut terms = seeded.terms.clone();
        let code = format!("T{}", KEYS.fetch_add(1, Ordering::Relaxed));
        terms.asset_code = domain::product::AssetCode::parse(&code).unwrap();
        change(&mut terms);
        let create = CreateProduct { organisation_id: seeded.organisation_id, issuer_id: seeded.issuer_id, terms };
        office.desk.run(create, office.clock.now()).await.unwrap()
    }

    /// Lists a product on a platform.
    pub async fn list(&self, product: &Product, platform_id: Uuid) {
        let office = &self.running.office;
        let platform_id = OrganisationId::new(platform_id);
        let listing = CreateListing { organisation_id: product.organisation_id, product_id: product.id, platform_id };
        office.desk.run(listing, office.clock.now()).await.unwrap();
    }

    /// A further investor of a platform; identified where `is_identified`.
    pub async fn investor(&self, platform_id: Uuid, person: PersonKind, is_identified: bool) -> InvestorId {
        let office = &self.running.office;
        let create = CreateInvestor {
            platform_id: OrganisationId::new(platform_id),
            person,
            personal_data: br#"{"surname":"Canary-Lindqvist"}"#.to_vec(),
            benefiting_persons: 1,
        };
        let investor = office.desk.run(create, office.clock.now()).await.unwrap();
        if is_identified {
            self.record_kyc(investor.id, KycResult::Passed { valid_until: None }).await;
        }
        investor.id
    }

    /// Records what identification found out.
    pub async fn record_kyc(&self, investor_id: InvestorId, result: KycResult) {
        let office = &self.running.office;
        office.desk.run(RecordKyc { investor_id, result }, office.clock.now()).await.unwrap();
    }

    /// A wallet of an identified investor.
    pub async fn wallet(&self, platform_id: Uuid, investor_id: InvestorId, address: [u8; 20]) -> Uuid {
        let office = &self.running.office;
        let create = CreateWallet {
            platform_id: OrganisationId::new(platform_id),
            investor_id,
            address: EvmAddress::new(address),
            receiving_enabled: true,
        };
        office.desk.run(create, office.clock.now()).await.unwrap().id.uuid()
    }

    /// The body of the guide's campaign.
    pub fn campaign_body(&self) -> Value {
        json!({
            "distribution_platform_id": self.handout.distribution_platform_id,
            "allocation": 10000,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1,
            "max_number_of_tokens": 100,
            "name": "Test",
            "legal_persons_allowed": true,
            "natural_persons_allowed": true,
            "country": "DEU",
            "rule_type": "public_offering",
            "is_campaign_active": true
        })
    }

    /// The guide's campaign on the seeded product, changed by the fields of `change`.
    pub async fn campaign(&self, change: Value) -> String {
        self.campaign_of(self.handout.product_id, change).await
    }

    /// The guide's campaign on one of the issuer's products, changed by the fields of `change`.
    pub async fn campaign_of(&self, product_id: Uuid, change: Value) -> String {
        let body = merged(self.campaign_body(), change);
        let reply = self.issuer().await.post(&format!("/issuer/v2/products/{product_id}/campaigns/"), &body).await;
        reply.expect(201).id()
    }

    /// The body of an investment of ten units of the seeded investor.
    pub fn investment_body(&self, campaign_id: &str) -> Value {
        json!({"investor_id": self.handout.investor_id, "campaign_id": campaign_id, "units": 10, "signed_at": GUIDE_DATE})
    }

    /// An investment, changed by the fields of `change`.
    pub async fn investment(&self, campaign_id: &str, change: Value) -> Reply {
        let body = merged(self.investment_body(campaign_id), change);
        self.distributor().await.post("/distributor/v2/investments/", &body).await
    }

    /// Both signed documents, as an investment's `signed_documents`.
    pub async fn signed_documents(&self, session: &Session) -> Value {
        let mut documents = Vec::new();
        for document_type in ["effecta_cryptoregistry_tos", "effecta_document"] {
            let id = session.upload(&format!("{document_type}.pdf")).await.expect(201).id();
            documents.push(json!({"document_type": document_type, "document_id": id}));
        }
        Value::Array(documents)
    }

    /// An investment with both documents, accepted, paid and with the seeded wallet.
    pub async fn paid_investment(&self, campaign_id: &str) -> String {
        let session = self.distributor().await;
        let facts = json!({
            "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE, "wallet": self.handout.wallet_id,
            "signed_documents": self.signed_documents(&session).await,
        });
        let investment = self.investment(campaign_id, facts).await.expect(201);
        assert_eq!(investment.body["status"], "PAID");
        investment.id()
    }
}

impl Session {
    /// Asks a Scrip, by the guide's `{URL}`, for a token of credentials, with some scopes or all.
    pub async fn sign_in(
        http: &reqwest::Client,
        url: &str,
        credentials: &Credentials,
        organisation_id: Uuid,
        scope: Option<&str>,
    ) -> Self {
        let mut form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", credentials.client_id.to_string()),
            ("client_secret", credentials.client_secret.clone()),
        ];
        form.extend(scope.map(|scope| ("scope", scope.to_owned())));
        let answer = http.post(format!("{url}/oauth/token")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200, "a token for {}", credentials.client_id);
        let body: Value = answer.json().await.unwrap();
        Self {
            url: url.to_owned(),
            token: body["access_token"].as_str().unwrap().to_owned(),
            organisation_id,
            credentials: credentials.clone(),
            http: http.clone(),
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, None).await
    }

    /// POST with a fresh key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(&make_key()), Some(body)).await
    }

    /// POST with a fresh key and without a body.
    pub async fn post_empty(&self, path: &str) -> Reply {
        self.send(Method::POST, path, Some(&make_key()), None).await
    }

    /// PATCH with a fresh key.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(&make_key()), Some(body)).await
    }

    /// Any request; `path` begins behind `/api`.
    pub async fn send(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Reply {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(key) = key {
            request = request.header("X-Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Reply::of(&method, path, request.send().await.unwrap()).await
    }

    /// Uploads a small PDF.
    pub async fn upload(&self, file_name: &str) -> Reply {
        let bytes = format!("%PDF-1.4\n% {file_name}\n%%EOF\n").into_bytes();
        self.upload_bytes("/distributor/v2/documents/", file_name, bytes, &make_key()).await
    }

    /// Uploads bytes.
    pub async fn upload_bytes(&self, path: &str, file_name: &str, bytes: Vec<u8>, key: &str) -> Reply {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(file_name.to_owned()).mime_str("application/pdf").unwrap();
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = request.header("X-Idempotency-Key", key).multipart(form);
        Reply::of(&Method::POST, path, request.send().await.unwrap()).await
    }

    /// Waits until a credit has ended, and gives it.
    pub async fn ended_credit(&self, investment_id: &str, credit_id: &str) -> Value {
        for _poll in 0..POLLS_MAX {
            let credit = self.get(&format!("/distributor/v2/investments/{investment_id}/credits/{credit_id}/")).await;
            let credit = credit.expect(200).body;
            if credit["status"] != "processing" && credit["status"] != "unknown" {
                return credit;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("credit {credit_id} has not ended");
    }
}

impl Reply {
    /// Takes an answer over, and compares it with the OpenAPI file. `path` begins behind `/api`.
    pub async fn of(method: &Method, path: &str, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Self { status, headers, text, body };
        contract::check(method, path, &reply);
        reply
    }

    /// The reply, where its status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A refusal by stored state with this code.
    #[track_caller]
    pub fn expect_refused(self, code: &str) -> Self {
        assert_eq!((self.status, self.body["code"].as_str()), (409, Some(code)), "{}", self.text);
        self
    }

    /// A 400 that names this pointer with this code.
    #[track_caller]
    pub fn expect_fault(self, pointer: &str, code: &str) -> Self {
        assert_eq!(self.status, 400, "{}", self.text);
        let named = self.body["errors"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(|error| error["pointer"] == pointer && error["code"] == code));
        assert!(named, "no {code} at {pointer:?} in {}", self.text);
        self
    }

    /// The object's id.
    #[track_caller]
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }

    /// Whether the answer was remembered.
    pub fn is_replay(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }
}

/// `base` with the fields of `change`; a null takes a field away.
pub fn merged(mut base: Value, change: Value) -> Value {
    let Value::Object(change) = change else { panic!("{change} changes nothing") };
    for (name, value) in change {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(&name);
        } else {
            base[name] = value;
        }
    }
    base
}

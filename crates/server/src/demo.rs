//! Plays the guide as an HTTP client would, step by step, against any Scrip.

use std::time::Duration;

use domain::ids::ProductId;
use domain::product::Token;
use ledger::contract::balance_of;
use ledger::{Address, At};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::command::Failure;
use crate::entropy::Entropy;
use crate::handout::Handout;
use crate::operations::sandbox::Credentials;
use crate::program::Running;

/// How often a credit is asked for before the demo gives up, and how long it waits in between.
const POLLS_MAX: u32 = 600;
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The date of the guide's examples.
const GUIDE_DATE: &str = "2025-03-12T07:14:13.630308+00:00";

/// One of the guide's two clients.
struct Client<'a> {
    http: &'a reqwest::Client,
    url: &'a str,
    token: String,
    entropy: Entropy,
}

/// Plays the guide; with a running sandbox the wallet's balance is read back from its ledger.
///
/// # Errors
/// A step did not go as the guide says.
pub async fn play(handout: &Handout, running: Option<&Running>) -> Result<(), Failure> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let mut issuer = Client::sign_in(&http, &handout.url, &handout.issuer, "products:read products:write").await?;
    step("The issuer's client has a token");
    let mut distributor = Client::sign_in(
        &http,
        &handout.url,
        &handout.distributor,
        "products:read investors:read investments:read investments:write documents:write",
    )
    .await?;
    step("The distribution platform's client has a token");
    let campaign_id = create_campaign(&mut issuer, handout).await?;
    let investment_id = invest(&mut distributor, handout, &campaign_id).await?;
    let credit = credit(&mut distributor, &investment_id).await?;
    let address = text(&credit, "address")?;
    step(&format!("Credit succeeded in ledger transaction {}", text(&credit, "transaction_hash")?));
    let investment = distributor.get(&format!("/distributor/v2/investments/{investment_id}/")).await?;
    expect(&investment, "status", "DELIVERED")?;
    step(&format!("Investment {investment_id} [DELIVERED]"));
    if let Some(running) = running {
        let balance = on_ledger_balance(running, handout, &address).await?;
        step(&format!("On the ledger, {address} holds {balance} units"));
    }
    Ok(())
}

async fn create_campaign(issuer: &mut Client<'_>, handout: &Handout) -> Result<String, Failure> {
    let campaign = json!({
        "distribution_platform_id": handout.distribution_platform_id,
        "allocation": 10000,
        "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
        "min_number_of_tokens": 1,
        "max_number_of_tokens": 100,
        "name": "Test",
        "legal_persons_allowed": true,
        "natural_persons_allowed": true,
        "country": "DEU",
        "rule_type": "public_offering",
        "is_campaign_active": true,
    });
    let path = format!("/issuer/v2/products/{}/campaigns/", handout.product_id);
    let campaign_id = text(&issuer.post(&path, Some(&campaign)).await?, "id")?;
    step(&format!("Campaign {campaign_id}: 10,000 units at EUR 1.00"));
    Ok(campaign_id)
}

async fn invest(distributor: &mut Client<'_>, handout: &Handout, campaign_id: &str) -> Result<String, Failure> {
    let products = distributor.get("/distributor/v2/products/").await?;
    let product_id = text(&products["results"][0], "id")?;
    step(&format!("The platform finds product {product_id}"));
    let found = distributor.get(&format!("/distributor/v2/products/{product_id}/campaigns/{campaign_id}/")).await?;
    step(&format!("… and campaign {}", text(&found, "id")?));
    let investment = json!({
        "investor_id": handout.investor_id, "campaign_id": campaign_id, "units": 10, "signed_at": GUIDE_DATE,
    });
    let investment = distributor.post("/distributor/v2/investments/", Some(&investment)).await?;
    let id = text(&investment, "id")?;
    step(&format!("Investment {id}: 10 units [{}]", text(&investment, "status")?));
    for (document_type, file_name) in
        [("effecta_cryptoregistry_tos", "terms-of-service.pdf"), ("effecta_document", "bond-conditions.pdf")]
    {
        let document = distributor.upload(file_name, b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n%%EOF\n").await?;
        let signed = json!({"document_type": document_type, "document_id": document["id"]});
        distributor.post(&format!("/distributor/v2/investments/{id}/signed-documents/"), Some(&signed)).await?;
        step(&format!("Signed document {document_type}"));
    }
    for (what, change) in [
        ("accepted", json!({"accepted_at": GUIDE_DATE})),
        ("paid", json!({"paid_at": GUIDE_DATE})),
        ("wallet set", json!({"wallet": handout.wallet_id})),
    ] {
        let changed = distributor.call(Method::PATCH, &format!("/distributor/v2/investments/{id}/"), Some(&change)).await?;
        step(&format!("{what} [{}]", text(&changed, "status")?));
    }
    Ok(id)
}

async fn credit(distributor: &mut Client<'_>, investment_id: &str) -> Result<Value, Failure> {
    let path = format!("/distributor/v2/investments/{investment_id}/credits/");
    let id = text(&distributor.post(&path, None).await?, "id")?;
    step(&format!("Credit {id}"));
    for _poll in 0..POLLS_MAX {
        let credit = distributor.get(&format!("{path}{id}/")).await?;
        match text(&credit, "status")?.as_str() {
            "succeeded" => return Ok(credit),
            "processing" => tokio::time::sleep(POLL_EVERY).await,
            other => return Err(format!("the credit is {other}: {credit}").into()),
        }
    }
    Err("the credit is still processing".into())
}

async fn on_ledger_balance(running: &Running, handout: &Handout, address: &str) -> Result<u128, Failure> {
    let product = running.office.archive.product_any(ProductId::new(handout.product_id))?.ok_or("the product is gone")?;
    let Token::Deployed(token) = product.token else { return Err("the token is not deployed".into()) };
    let holder: Address = address.parse()?;
    Ok(balance_of(
        running.chain.as_deref().ok_or("another program holds the ledger")?,
        Address(token.bytes()),
        holder,
        At::Finalized,
    )
    .await?)
}

impl<'a> Client<'a> {
    async fn sign_in(http: &'a reqwest::Client, url: &'a str, credentials: &Credentials, scope: &str) -> Result<Self, Failure> {
        let client_id = credentials.client_id.to_string();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id.as_str()),
            ("client_secret", credentials.client_secret.as_str()),
            ("scope", scope),
        ];
        let answer = checked(http.post(format!("{url}/oauth/token")).form(&form).send().await?).await?;
        Ok(Self { http, url, token: text(&answer, "access_token")?, entropy: Entropy::from_machine()? })
    }

    async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        checked(request.send().await?).await
    }

    async fn post(&mut self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.call(Method::POST, path, body).await
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        request = request.header("X-Idempotency-Key", self.key());
        if let Some(body) = body {
            request = request.json(body);
        }
        checked(request.send().await?).await
    }

    async fn upload(&mut self, file_name: &str, bytes: &[u8]) -> Result<Value, Failure> {
        let part = Part::bytes(bytes.to_vec()).file_name(file_name.to_owned()).mime_str("application/pdf")?;
        let request = self.http.post(format!("{}/distributor/v2/documents/", self.url)).bearer_auth(&self.token);
        let request = request.header("X-Idempotency-Key", self.key()).multipart(Form::new().part("file", part));
        checked(request.send().await?).await
    }

    fn key(&mut self) -> String {
        hex::encode(self.entropy.bytes::<8>())
    }
}

async fn checked(response: reqwest::Response) -> Result<Value, Failure> {
    let (status, url) = (response.status(), response.url().clone());
    let body = response.text().await?;
    if !status.is_success() {
        return Err(format!("{url} answered {status}: {body}").into());
    }
    Ok(serde_json::from_str(&body)?)
}

fn text(value: &Value, field: &str) -> Result<String, Failure> {
    Ok(value[field].as_str().ok_or_else(|| format!("no {field} in {value}"))?.to_owned())
}

fn expect(value: &Value, field: &str, expected: &str) -> Result<(), Failure> {
    let found = text(value, field)?;
    if found == expected { Ok(()) } else { Err(format!("{field} is {found}, not {expected}").into()) }
}

fn step(what: &str) {
    println!("  ✓ {what}");
}

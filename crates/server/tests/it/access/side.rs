//! An issuer and a platform with objects of every kind between them, and requests that they may make.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::calendar::BusinessDayRule;
use domain::daycount::DayCount;
use domain::ids::{OrganisationId, ProductId};
use domain::interest::{CouponStatement, Coupons, Frequency, Interest, ListedPeriod, Periods, RateBasis};
use domain::investor::PersonKind;
use domain::money::{Currency, Money, Percent};
use domain::organisation::OrganisationKind;
use domain::product::AssetCode;
use domain::text::Name;
use serde_json::{Value, json};
use server::operations::issuer::CreateIssuer;
use server::operations::listing::CreateListing;
use server::operations::product::CreateProduct;

use super::call::{Call, Payload};
use super::catalogue::{Operation, guarded};
use crate::world::{GUIDE_DATE, Session, World, make_key, merged};

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Two tenants that do business with each other.
pub struct Side {
    pub issuer: Session,
    pub distributor: Session,
    /// One object of each kind, by the name that positions have for it.
    ids: BTreeMap<&'static str, String>,
    /// A document that the issuer uploaded and nobody attached.
    issuer_document_id: String,
}

impl Side {
    /// Two new tenants.
    pub async fn of_new_tenants(world: &World, name: &str) -> Self {
        let issuer = world.tenant(OrganisationKind::Issuer, &format!("{name} issuer")).await;
        let distributor = world.tenant(OrganisationKind::Distributor, &format!("{name} platform")).await;
        Self::between(world, &issuer, &distributor).await
    }

    /// New objects between two tenants. Returns when their credit has ended, so that nothing moves any more.
    pub async fn between(world: &World, issuer: &Session, distributor: &Session) -> Self {
        let mut side = Self {
            issuer: issuer.clone(),
            distributor: distributor.clone(),
            ids: BTreeMap::new(),
            issuer_document_id: String::new(),
        };
        side.settle_market(world).await;
        side.settle_holder(world).await;
        let investment = side.paid_investment().await;
        let credit = side.distributor.post_empty(&format!("/distributor/v2/investments/{investment}/credits/")).await;
        let credit_id = credit.expect(201).id();
        let ended = side.distributor.ended_credit(&investment, &credit_id).await;
        assert_eq!(ended["status"], "succeeded");
        side.ids.extend([("investment_id", investment), ("credit_id", credit_id)]);
        side
    }

    /// The same tenants at another address: that of a program that was started again.
    pub fn moved_to(mut self, url: &str) -> Self {
        for session in [&mut self.issuer, &mut self.distributor] {
            url.clone_into(&mut session.url);
        }
        self
    }

    async fn settle_market(&mut self, world: &World) {
        let (office, now) = (&world.running.office, world.running.office.clock.now());
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let organisation_id = OrganisationId::new(self.issuer.organisation_id);
        let platform_id = OrganisationId::new(self.distributor.organisation_id);
        let text = |text: &str| Name::parse(&format!("{text} {serial}")).unwrap();
        let issuer = CreateIssuer {
            organisation_id,
            company_name: text("Company"),
            commercial_register: text("Register"),
            commercial_register_number: text("HRB"),
        };
        let issuer_id = office.desk.run(issuer, now).await.unwrap().id;
        let mut terms = office.archive.product_any(ProductId::new(world.handout.product_id)).unwrap().unwrap().terms;
        terms.asset_code = AssetCode::parse(&format!("S{serial}")).unwrap();
        terms.interest = two_long_coupons();
        terms.nominal_value = Some(Money::from_minor(100, Currency::parse("EUR").unwrap()));
        let product = office.desk.run(CreateProduct { organisation_id, issuer_id, terms }, now).await.unwrap();
        let listing = CreateListing { organisation_id, product_id: product.id, platform_id };
        let listing_id = office.desk.run(listing, now).await.unwrap().id;
        self.ids.extend([
            ("distribution_platform_id", self.distributor.organisation_id.to_string()),
            ("issuer_id", issuer_id.to_string()),
            ("product_id", product.id.to_string()),
            ("listing_id", listing_id.to_string()),
        ]);
        let mut terms = product.terms.clone();
        terms.asset_code = AssetCode::parse(&format!("U{serial}")).unwrap();
        let unsold = office.desk.run(CreateProduct { organisation_id, issuer_id, terms }, now).await.unwrap();
        self.ids.insert("unsold_product_id", unsold.id.to_string());
        let campaign_id = self.campaign(json!({})).await;
        self.ids.insert("campaign_id", campaign_id);
        let bytes = b"%PDF-1.4\n%%EOF\n".to_vec();
        let uploaded = self.issuer.upload_bytes("/issuer/v2/documents/", "own.pdf", bytes, &make_key()).await;
        self.issuer_document_id = uploaded.expect(201).id();
    }

    async fn settle_holder(&mut self, world: &World) {
        let platform_id = self.distributor.organisation_id;
        let investor_id = world.investor(platform_id, PersonKind::Natural, true).await;
        let mut address = [7; 20];
        address[..8].copy_from_slice(&SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let wallet_id = world.wallet(platform_id, investor_id, address).await.to_string();
        let document_id = self.document().await;
        self.ids.extend([
            ("investor_id", investor_id.to_string()),
            ("wallet_id", wallet_id.clone()),
            ("wallet", wallet_id),
            ("document_id", document_id),
        ]);
    }

    /// The id of the object that positions of this name ask for.
    #[track_caller]
    pub fn id(&self, name: &str) -> String {
        self.ids.get(name).unwrap_or_else(|| panic!("no own object stands for {name}")).clone()
    }

    /// The ids of its objects as another tenant would try them: with the document of the platform, and with the issuer's.
    pub fn loot(&self) -> Vec<BTreeMap<&'static str, String>> {
        let mut other = self.ids.clone();
        other.insert("document_id", self.issuer_document_id.clone());
        vec![self.ids.clone(), other]
    }

    /// The session that calls an operation.
    pub fn caller(&self, operation: &Operation) -> &Session {
        match operation.kind {
            OrganisationKind::Issuer => &self.issuer,
            OrganisationKind::Distributor => &self.distributor,
            OrganisationKind::Registrar => panic!("{} is the registrar's", operation.id),
        }
    }

    /// A new document of the platform.
    pub async fn document(&self) -> String {
        self.distributor.upload("own.pdf").await.expect(201).id()
    }

    /// A new campaign.
    pub async fn campaign(&self, change: Value) -> String {
        let path = format!("/issuer/v2/products/{}/campaigns/", self.id("product_id"));
        self.issuer.post(&path, &merged(self.campaign_body(), change)).await.expect(201).id()
    }

    /// What creates a campaign.
    pub fn campaign_body(&self) -> Value {
        json!({
            "distribution_platform_id": self.id("distribution_platform_id"), "allocation": 2000,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1, "max_number_of_tokens": 100, "name": "Own",
            "legal_persons_allowed": true, "natural_persons_allowed": true, "country": "DEU",
            "rule_type": "public_offering", "is_campaign_active": true
        })
    }

    /// What creates an investment that waits for acceptance.
    pub fn investment_body(&self) -> Value {
        json!({
            "investor_id": self.id("investor_id"), "campaign_id": self.id("campaign_id"), "units": 1, "signed_at": GUIDE_DATE,
            "wallet": self.id("wallet"),
            "signed_documents": [{"document_type": "effecta_document", "document_id": self.id("document_id")}],
        })
    }

    /// A new investment that waits for acceptance.
    pub async fn investment(&self) -> String {
        self.distributor.post("/distributor/v2/investments/", &self.investment_body()).await.expect(201).id()
    }

    /// A new investment that can be credited.
    pub async fn paid_investment(&self) -> String {
        let facts = json!({
            "accepted_at": GUIDE_DATE, "paid_at": GUIDE_DATE,
            "signed_documents": [
                {"document_type": "effecta_cryptoregistry_tos", "document_id": self.document().await},
                {"document_type": "effecta_document", "document_id": self.id("document_id")},
            ],
        });
        let body = merged(self.investment_body(), facts);
        self.distributor.post("/distributor/v2/investments/", &body).await.expect(201).id()
    }

    /// A request that the operation accepts, about objects that no other request of this kind has touched.
    pub async fn fresh(&self, operation: &Operation) -> Call {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let file = || Payload::File {
            name: format!("{serial}.pdf"),
            media_type: "application/pdf",
            bytes: format!("%PDF-1.4\n% {serial}\n%%EOF\n").into_bytes(),
        };
        let (name, id, payload) = match operation.id {
            "distributor_upload_document" | "issuer_upload_document" => ("", String::new(), file()),
            "create_investment" => {
                let signed_at = format!("2025-03-12T07:14:13.{serial:06}+00:00");
                let body = merged(self.investment_body(), json!({ "signed_at": signed_at }));
                ("", String::new(), Payload::Json(body))
            }
            "change_investment" => {
                let change = json!({"wallet": self.id("wallet"), "disagio": {"amount": "1", "decimals": 2, "currency": "EUR"}});
                ("investment_id", self.investment().await, Payload::Json(change))
            }
            "cancel_investment" => {
                ("investment_id", self.investment().await, Payload::Json(json!({"cancellation_date": GUIDE_DATE})))
            }
            "order_credit" => ("investment_id", self.paid_investment().await, Payload::Empty),
            "attach_signed_document" => {
                let body = json!({"document_type": "effecta_cryptoregistry_tos", "document_id": self.document().await});
                ("investment_id", self.investment().await, Payload::Json(body))
            }
            "create_campaign" => (
                "",
                String::new(),
                Payload::Json(merged(self.campaign_body(), json!({"allocation": 100, "name": format!("Own {serial}")}))),
            ),
            "change_campaign" => {
                let campaign = self.campaign(json!({"allocation": 100})).await;
                ("campaign_id", campaign, Payload::Json(json!({"is_campaign_active": false})))
            }
            "change_product" => {
                let interest = json!({
                    "kind": "coupons", "interest_rate": format!("0.{serial:06}"), "day_count_convention": "30E_360",
                    "interest_start_date": "2025-01-15", "maturity_date": "2030-01-15", "frequency": "annual", "schedule": {}
                });
                let nominal = json!({"amount": "100", "decimals": 2, "currency": "EUR"});
                let body = json!({"interest": interest, "nominal_value": nominal});
                ("product_id", self.id("unsold_product_id"), Payload::Json(body))
            }
            "create_quote" => ("", String::new(), Payload::Json(json!({"units": 3}))),
            reading if !operation.is_mutating() => ("", String::new(), {
                assert!(!reading.is_empty());
                Payload::Empty
            }),
            unknown => panic!("{unknown} changes something, and no request to it is known here: add one"),
        };
        Call::new(operation, payload, |asked| if asked == name { id.clone() } else { self.id(asked) })
    }

    /// Everything that both tenants can read, operation by operation.
    pub async fn sight(&self, world: &World) -> Vec<(&'static str, String)> {
        let mut sight = Vec::new();
        for operation in guarded().into_iter().filter(|operation| !operation.is_mutating()) {
            let call = self.fresh(&operation).await;
            let reply = call.send(world, self.caller(&operation), None).await.expect(200);
            sight.push((operation.id, reply.text));
        }
        sight
    }
}

/// Coupons that go on however far a test turns the clock.
fn two_long_coupons() -> Interest {
    let [start, between, maturity] = ["2025-01-15", "2100-01-15", "2195-01-15"].map(|date| date.parse().unwrap());
    let period = |start, end| ListedPeriod { start, end, payment: None, rate: None, notional: Vec::new() };
    let periods = vec![period(start, between), period(between, maturity)];
    let statement = CouponStatement {
        rate: Percent::parse("1").unwrap(),
        rate_basis: RateBasis::PerYear,
        day_count: DayCount::ThirtyE360,
        interest_start: start,
        maturity,
        business_day_rule: BusinessDayRule::Following,
        periods: Periods::Listed { frequency: Frequency::Annual, periods },
    };
    Interest::Coupons(Box::new(Coupons::new(statement).unwrap()))
}

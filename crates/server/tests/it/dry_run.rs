//! A dry run of a creation accepts if and only if the creation does on the same state, and both name every broken rule.
//!
//! Random orders go to random campaigns, first dry and then in earnest. Which rules an order breaks is worked out once more
//! here, in whole numbers and by code that shares nothing with the program's.

use std::collections::BTreeSet;

use domain::instant::Instant;
use domain::investor::PersonKind;
use domain::organisation::OrganisationKind;
use domain::product::Product;
use domain::units::Units;
use reqwest::Method;
use serde_json::{Value, json};
use server::entropy::Entropy;

use crate::world::{Reply, Session, World, merged};

const PATH: &str = "/distributor/v2/investments/";
const ORDERS: usize = 300;
const ORDERS_LONG: usize = 5_000;
const CAMPAIGNS: usize = 12;
/// Stated dates in order, with their calendar date in Berlin.
const DATES: [(&str, &str); 3] = [
    ("2025-03-10T12:00:00.000000+00:00", "2025-03-10"),
    ("2025-03-31T21:59:59.000000+00:00", "2025-03-31"),
    ("2025-03-31T22:00:00.000000+00:00", "2025-04-01"),
];
/// The product that bears interest is paid back on the second of them.
const MATURITY: &str = "2025-03-31";

/// What an order is measured by.
#[derive(Clone, Debug)]
struct Offer {
    product: usize,
    campaign: String,
    currency: &'static str,
    /// Minor units of the currency for one unit.
    price_minor: u128,
    agio_percent: u128,
    minimum_minor: Option<u128>,
    min: u64,
    max: u64,
    natural: bool,
    legal: bool,
    is_active: bool,
    left: u64,
}

/// What an order says, as the rules see it.
#[derive(Clone, Debug)]
struct Asked {
    units: u64,
    is_natural: bool,
    signed: usize,
    accepted: Option<usize>,
    paid: Option<usize>,
    documents: usize,
    disagio: Option<(&'static str, u128)>,
}

/// What should become of it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    /// It is wrong whatever is stored.
    Invalid,
    /// It breaks these rules.
    Refused(BTreeSet<String>),
    Taken,
}

struct Market {
    world: World,
    session: Session,
    issuer: Session,
    products: [Product; 3],
    offers: Vec<Offer>,
    /// A natural person that is identified, one that is not, and a company; each with a wallet where it may have one.
    investors: [(String, Option<String>); 3],
    documents: [String; 2],
    /// An investor, a wallet and a document of another platform.
    foreign: [String; 3],
    entropy: Entropy,
    seed: u64,
}

fn other_currency(currency: &str) -> &'static str {
    if currency == "EUR" { "JPY" } else { "EUR" }
}

fn money(currency: &str, minor: u128) -> Value {
    json!({"amount": minor.to_string(), "decimals": if currency == "JPY" { 0 } else { 2 }, "currency": currency})
}

/// Every rule that an order breaks. The steps of the products are 1, 5 and 1; the second one wants dates in order, the third
/// one was paid back.
fn broken(offer: &Offer, asked: &Asked) -> BTreeSet<String> {
    const LARGEST: u128 = i64::MAX as u128;
    let amount = u128::from(asked.units) * offer.price_minor;
    let fits = amount <= LARGEST;
    // Half a minor unit more, so that the division rounds half up.
    let agio = (amount * offer.agio_percent + 50) / 100;
    let disagio = asked.disagio.filter(|(currency, _)| *currency == offer.currency).map_or(0, |(_, minor)| minor);
    let total_fits = (amount + agio).saturating_sub(disagio) <= LARGEST;
    let is_foreign = asked.disagio.is_some_and(|(currency, _)| currency != offer.currency);
    // Without a payment today counts, which is later than the maturity.
    let is_late = offer.product == 2 && asked.paid.is_none_or(|paid| DATES[paid].1 > MATURITY);
    // There is a total where there is each of its parts.
    let has_total = !is_foreign && !is_late && disagio <= amount;
    let is_strict = offer.product == 1;
    let is_accepted = asked.accepted.is_some() && asked.documents == 2;
    let accepted_late = is_strict && is_accepted && asked.accepted < Some(asked.signed);
    let is_paid = is_accepted && !accepted_late;
    [
        ("campaign_inactive", !offer.is_active),
        ("person_kind_not_allowed", if asked.is_natural { !offer.natural } else { !offer.legal }),
        ("below_min_number_of_tokens", asked.units < offer.min),
        ("above_max_number_of_tokens", asked.units > offer.max),
        ("not_a_multiple_of_step_size", offer.product == 1 && !asked.units.is_multiple_of(5)),
        ("below_minimum_investment_amount", fits && offer.minimum_minor.is_some_and(|minimum| amount < minimum)),
        ("allocation_exhausted", offer.is_active && asked.units > offer.left),
        ("amount_too_large", !fits || agio > LARGEST || has_total && !total_fits),
        ("currency_mismatch", is_foreign),
        ("disagio_above_investment_amount", fits && disagio > amount),
        ("value_date_after_maturity", is_late),
        ("signed_documents_missing", asked.accepted.is_some() && asked.documents < 2),
        ("not_accepted", asked.paid.is_some() && !is_paid),
        (
            "dates_out_of_order",
            accepted_late || is_strict && is_paid && asked.paid.is_some_and(|paid| Some(paid) < asked.accepted),
        ),
    ]
    .into_iter()
    .filter(|(_, is_broken)| *is_broken)
    .map(|(rule, _)| rule.to_owned())
    .collect()
}

impl Market {
    async fn start(seed: u64) -> Self {
        let world = World::start().await;
        keep_away_from_midnight(&world);
        let (session, issuer) = (world.distributor().await, world.issuer().await);
        let platform = session.organisation_id;
        let products = [
            world.product(|_| {}).await,
            world.product(|terms| (terms.step_size, terms.strict_dates) = (Units::new(5).unwrap(), true)).await,
            world.product(|_| {}).await,
        ];
        for product in &products {
            world.list(product, platform).await;
        }
        let interest = json!({
            "kind": "coupons", "interest_rate": "5", "day_count_convention": "ACT_ACT_ICMA", "interest_start_date": "2024-03-31",
            "maturity_date": MATURITY, "frequency": "semi_annual", "schedule": {},
        });
        let terms = json!({"interest": interest, "nominal_value": money("EUR", 1_000)});
        issuer.patch(&format!("/issuer/v2/products/{}/", products[2].id), &terms).await.expect(200);
        let theirs = world.tenant(OrganisationKind::Distributor, "Another Platform").await;
        let stranger = world.investor(theirs.organisation_id, PersonKind::Natural, true).await;
        let foreign = [
            stranger.to_string(),
            world.wallet(theirs.organisation_id, stranger, [9; 20]).await.to_string(),
            theirs.upload("foreign.pdf").await.expect(201).id(),
        ];
        let mut investors = Vec::new();
        for (index, (person, is_identified)) in
            [(PersonKind::Natural, true), (PersonKind::Natural, false), (PersonKind::Legal, true)].into_iter().enumerate()
        {
            let investor = world.investor(platform, person, is_identified).await;
            let address = [u8::try_from(index).unwrap() + 1; 20];
            let wallet = if is_identified { Some(world.wallet(platform, investor, address).await.to_string()) } else { None };
            investors.push((investor.to_string(), wallet));
        }
        let documents = [session.upload("a.pdf").await.expect(201).id(), session.upload("b.pdf").await.expect(201).id()];
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let (investors, entropy) = (investors.try_into().unwrap(), Entropy::from_seed(bytes));
        let mut market =
            Self { world, session, issuer, products, offers: Vec::new(), investors, documents, foreign, entropy, seed };
        for _campaign in 0..CAMPAIGNS {
            market.open_campaign().await;
        }
        market
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::from_be_bytes(self.entropy.bytes()) % bound
    }

    /// Once in so many times.
    fn rarely(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    async fn open_campaign(&mut self) {
        let product = self.pick(&[0, 1, 2]);
        let currency = if product != 2 && self.rarely(3) { "JPY" } else { "EUR" };
        let is_dear = product == 0 && self.rarely(4);
        let price_minor = if is_dear { 10_u128.pow(18) } else { u128::from(1 + self.below(2_000)) };
        let min = 1 + self.below(10);
        let offer = Offer {
            product,
            campaign: String::new(),
            currency,
            price_minor,
            agio_percent: self.pick(&[0, 0, 1, 5, 100]),
            minimum_minor: self.rarely(3).then(|| price_minor * u128::from(min + 2)).filter(|_| !is_dear),
            min,
            max: min + self.below(60),
            natural: !self.rarely(8),
            legal: !self.rarely(6),
            is_active: !self.rarely(6),
            left: 20 + self.below(400),
        };
        let mut body = merged(
            self.world.campaign_body(),
            json!({
                "allocation": offer.left, "price_per_token": money(currency, price_minor), "min_number_of_tokens": offer.min,
                "max_number_of_tokens": offer.max, "natural_persons_allowed": offer.natural,
                "legal_persons_allowed": offer.legal, "is_campaign_active": offer.is_active,
                "agio_percent": offer.agio_percent.to_string(),
            }),
        );
        if let Some(minimum) = offer.minimum_minor {
            let rule = json!({"rule_type": "minimum_investment_amount", "minimum_investment_amount": money(currency, minimum)});
            body = merged(body, rule);
        }
        let path = format!("/issuer/v2/products/{}/campaigns/", self.products[product].id);
        let campaign = self.issuer.post(&path, &body).await.expect(201).id();
        self.offers.push(Offer { campaign, ..offer });
    }

    /// A random order in the campaign at this place: what it says, its body, and whether the body itself is wrong.
    fn order(&mut self, place: usize) -> (Asked, Value, bool) {
        let offer = self.offers[place].clone();
        let mut units = offer.min + self.below(offer.max - offer.min + 2);
        if offer.product == 1 && !self.rarely(4) {
            units = units.next_multiple_of(5);
        }
        if self.rarely(8) {
            units = self.pick(&[1, offer.min - 1, offer.max + 1, offer.left + 1, 10_000, 1 << 53]).max(1);
        }
        let buyer = self.pick(&[0, 0, 1, 2]);
        let date = |market: &mut Self| market.pick(&[0, 1, 1, 2]);
        let signed = date(self);
        // What bears interest can be bought no more, unless the payment was before its maturity.
        let is_over = offer.product == 2;
        let accepted = (is_over && !self.rarely(5) || !self.rarely(3)).then(|| if self.rarely(5) { date(self) } else { signed });
        let wants_payment = if accepted.is_some() { is_over && !self.rarely(5) || self.rarely(2) } else { self.rarely(6) };
        let paid = wants_payment.then(|| if self.rarely(4) { date(self) } else { accepted.unwrap_or(signed) });
        let documents = if accepted.is_some() && !self.rarely(6) { 2 } else { self.pick(&[0, 1, 2]) };
        let disagio = self.rarely(3).then(|| {
            let currency = if self.rarely(4) { other_currency(offer.currency) } else { offer.currency };
            let amount = u64::try_from(u128::from(units) * offer.price_minor).unwrap_or(u64::MAX).min(999_999_999_999_999_999);
            (currency, u128::from(if self.rarely(3) { amount + 1 } else { self.below(amount + 1) }))
        });
        let asked = Asked { units, is_natural: buyer != 2, signed, accepted, paid, documents, disagio };
        let (investor, wallet) = self.investors[buyer].clone();
        let kinds = ["effecta_cryptoregistry_tos", "effecta_document"];
        let attached: Vec<Value> =
            (0..documents).map(|index| json!({"document_type": kinds[index], "document_id": self.documents[index]})).collect();
        let mut body = json!({
            "investor_id": investor, "campaign_id": offer.campaign, "units": units, "signed_at": DATES[signed].0,
            "signed_documents": attached,
        });
        for (field, stated) in [("accepted_at", accepted), ("paid_at", paid)] {
            // What is said to be null is not said to be so.
            match stated {
                Some(date) => body[field] = json!(DATES[date].0),
                None if self.rarely(4) => body[field] = Value::Null,
                None => {}
            }
        }
        if let Some((currency, minor)) = disagio {
            body["disagio"] = money(currency, minor);
        }
        if let Some(wallet) = wallet.filter(|_| !self.rarely(2)) {
            body["wallet"] = json!(wallet);
        }
        let is_wrong = self.rarely(10);
        if is_wrong {
            self.spoil(&mut body);
        }
        (asked, body, is_wrong)
    }

    /// Makes one thing of a body wrong whatever is stored, or name what is another platform's.
    fn spoil(&mut self, body: &mut Value) {
        let late = self.world.running.office.clock.now().checked_add_micros(10 * 60 * 1_000_000).unwrap();
        let [investor, wallet, document] = self.foreign.clone();
        let signed = json!([{"document_type": "effecta_document", "document_id": document}]);
        let (field, value) = match self.below(11) {
            0 => ("units", json!(0)),
            1 => ("units", json!(1.5)),
            2 => ("units", json!(9_223_372_036_854_775_808_u64)),
            3 => ("signed_at", json!(late.to_string())),
            4 => ("disagio", json!({"amount": "1", "decimals": 3, "currency": "EUR"})),
            5 => ("disagio", json!({"amount": "-1", "decimals": 2, "currency": "EUR"})),
            6 => ("disagio", json!({"amount": 1, "decimals": 2, "currency": "EUR"})),
            7 => ("price", json!(1)),
            8 => ("investor_id", json!(investor)),
            9 => ("wallet", json!(wallet)),
            _ => ("signed_documents", signed),
        };
        body[field] = value;
    }

    async fn units_available(&self, place: usize) -> u64 {
        let Offer { product, campaign, .. } = &self.offers[place];
        let path = format!("/distributor/v2/products/{}/campaigns/{campaign}/", self.products[*product].id);
        self.session.get(&path).await.expect(200).body["units_available"].as_u64().unwrap()
    }

    async fn switch_campaign(&mut self, place: usize) {
        let offer = &mut self.offers[place];
        offer.is_active = !offer.is_active;
        let path = format!("/issuer/v2/products/{}/campaigns/{}/", self.products[offer.product].id, offer.campaign);
        self.issuer.patch(&path, &json!({"is_campaign_active": offer.is_active})).await.expect(200);
    }

    /// One order, dry and in earnest. Gives what became of it.
    async fn try_order(&mut self, number: usize) -> Expected {
        let place = usize::try_from(self.below(CAMPAIGNS as u64)).unwrap();
        let (asked, body, is_wrong) = self.order(place);
        let offer = self.offers[place].clone();
        let rules = broken(&offer, &asked);
        let expected = match (is_wrong, rules.is_empty()) {
            (true, _) => Expected::Invalid,
            (false, false) => Expected::Refused(rules),
            (false, true) => Expected::Taken,
        };
        let at = format!("SCRIP_SEED={}, order {number}: {body} in {offer:?}", self.seed);
        let archive = &self.world.running.office.archive;
        let head = archive.journal_head().unwrap();
        let dry = self.session.send(Method::POST, &format!("{PATH}?dry_run=true"), None, Some(&body)).await;
        // Background work may write about the ledger meanwhile.
        let entries = archive.journal_after(head.sequence, 100).unwrap();
        assert!(entries.iter().all(|stored| stored.entry.act != "create_investment"), "{at}: a dry run records nothing");
        let left = if offer.is_active { offer.left } else { 0 };
        assert_eq!(self.units_available(place).await, left, "{at}: a dry run takes nothing");
        let real = self.session.post(PATH, &body).await;
        assert_eq!((dry.status == 200, dry.status >= 400), (real.status == 201, real.status >= 400), "{at}: {}", dry.text);
        assert_eq!(said(&dry), said(&real), "{at}");
        assert_eq!(outcome(&real), expected, "{at}: {}", real.text);
        if expected == Expected::Taken {
            self.offers[place].left -= asked.units;
        }
        expected
    }
}

/// An answer without what no two answers share.
fn said(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    for name in ["id", "created_at", "updated_at", "instance"] {
        body.as_object_mut().unwrap().remove(name);
    }
    for document in body["signed_documents"].as_array_mut().into_iter().flatten() {
        document["id"].take();
        document["created_at"].take();
    }
    body
}

fn outcome(reply: &Reply) -> Expected {
    match reply.status {
        201 => Expected::Taken,
        400 => Expected::Invalid,
        409 => {
            let rules = reply.body["failed_rules"].as_array().unwrap();
            Expected::Refused(rules.iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect())
        }
        other => panic!("{other}: {}", reply.text),
    }
}

/// The amounts of both calls are those of the same day: close to midnight in Berlin the clock is turned past it.
fn keep_away_from_midnight(world: &World) {
    let clock = &world.running.office.clock;
    let in_an_hour: Instant = clock.now().checked_add_micros(3_600 * 1_000_000).unwrap();
    if in_an_hour.value_date() != clock.now().value_date() {
        clock.set_ahead_micros(2 * 3_600 * 1_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_accepts_if_and_only_if_the_real_call_does_and_names_every_broken_rule() {
    let stated = std::env::var("SCRIP_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = stated.unwrap_or_else(|| u64::from_be_bytes(Entropy::from_machine().unwrap().bytes()));
    println!("SCRIP_SEED={seed}");
    let mut market = Market::start(seed).await;
    let orders = if std::env::var_os("SCRIP_LONG").is_some() { ORDERS_LONG } else { ORDERS };
    let (mut taken, mut invalid, mut several) = (0, 0, 0);
    let mut rules_seen = BTreeSet::new();
    for number in 0..orders {
        if market.rarely(25) {
            let place = usize::try_from(market.below(CAMPAIGNS as u64)).unwrap();
            market.switch_campaign(place).await;
        }
        match market.try_order(number).await {
            Expected::Taken => taken += 1,
            Expected::Invalid => invalid += 1,
            Expected::Refused(rules) => {
                several += usize::from(rules.len() > 1);
                rules_seen.extend(rules);
            }
        }
    }
    println!("{taken} taken, {invalid} invalid, {several} broke several rules; rules broken: {rules_seen:?}");
    assert!(
        taken >= 10 && invalid >= 5 && several >= 20 && rules_seen.len() >= 9,
        "SCRIP_SEED={seed}: the orders are too much alike"
    );
    market.world.stop().await;
}

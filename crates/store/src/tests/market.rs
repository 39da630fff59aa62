//! A small market: two issuer-side organisations, two platforms, and what they have.

use domain::campaign::{Campaign, CampaignTerms, Rule};
use domain::country::Country;
use domain::credit::{Credit, CreditState};
use domain::document::{ContentCheck, Document, SignedDocument, SignedDocumentType};
use domain::ids::{InvestmentId, InvestorId, OrganisationId, ProductId};
use domain::instruction::{Instruction, InstructionNumber, InstructionState};
use domain::interest::Interest;
use domain::investment::{Facts, Investment, InvestmentType, Progress, Review, Stated};
use domain::investor::{Investor, Kyc, PersonKind};
use domain::money::{Currency, Money, Percent, Price};
use domain::network::NetworkName;
use domain::organisation::{Client, Organisation, OrganisationKind};
use domain::payable::Payable;
use domain::product::{AssetCode, Issuer, Listing, Product, ProductTerms, ProductType, Token};
use domain::text::Name;
use domain::units::Units;
use domain::wallet::{EvmAddress, Wallet};

use super::{Store, at, id};
use crate::book::listing_key;

/// Numbers of the ids of the market that every test can use.
pub(crate) const ISSUER: u64 = 1;
pub(crate) const OTHER_ISSUER: u64 = 2;
pub(crate) const PLATFORM: u64 = 3;
pub(crate) const OTHER_PLATFORM: u64 = 4;
pub(crate) const REGISTRAR: u64 = 5;
pub(crate) const LEGAL_ENTITY: u64 = 6;
pub(crate) const PRODUCT: u64 = 10;
/// Owned by the other issuer, listed on the other platform.
pub(crate) const OTHER_PRODUCT: u64 = 11;
pub(crate) const CAMPAIGN: u64 = 20;
/// Of the same product, for the other platform.
pub(crate) const OTHER_CAMPAIGN: u64 = 21;
pub(crate) const INVESTOR: u64 = 30;
pub(crate) const OTHER_INVESTOR: u64 = 31;
pub(crate) const WALLET: u64 = 40;
pub(crate) const DOCUMENT: u64 = 50;

pub(crate) fn eur(minor: i64) -> Money {
    Money::from_minor(minor, Currency::parse("EUR").unwrap())
}

pub(crate) fn units(units: u64) -> Units {
    Units::new(units).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn address(number: u64) -> EvmAddress {
    let mut bytes = [0x11; 20];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EvmAddress::new(bytes)
}

pub(crate) fn stated(micros: i64) -> Stated {
    Stated { at: at(micros), received_at: at(micros + 7) }
}

pub(crate) fn organisation(number: u64, kind: OrganisationKind) -> Organisation {
    Organisation {
        id: id(number),
        kind,
        name: name(&format!("Organisation {number}")),
        created_at: at(i64::try_from(number).unwrap()),
    }
}

pub(crate) fn client(number: u64, organisation: &Organisation) -> Client {
    Client {
        id: id(number),
        organisation_id: organisation.id,
        kind: organisation.kind,
        secret_digest: [9; 32],
        epoch: 3,
        revoked_at: None,
        created_at: at(5),
    }
}

pub(crate) fn issuer(number: u64, organisation_id: OrganisationId) -> Issuer {
    Issuer {
        id: id(number),
        organisation_id,
        company_name: name("Windpark Nord GmbH"),
        commercial_register: name("Amtsgericht Kiel"),
        commercial_register_number: name("HRB 1"),
        created_at: at(1),
    }
}

pub(crate) fn product(number: u64, owner: OrganisationId) -> Product {
    Product {
        id: id(number),
        organisation_id: owner,
        issuer_id: id(LEGAL_ENTITY + 100 * u64::from(owner == id(OTHER_ISSUER))),
        terms: ProductTerms {
            name: name("Windanleihe"),
            asset_code: AssetCode::parse(&format!("WIND{number}")).unwrap(),
            product_type: ProductType::Bond,
            ewpg: true,
            isin: None,
            issuable_units_max: units(1_000_000),
            step_size: units(1),
            agio_percent: Percent::parse("2.50").unwrap(),
            nominal_value: None,
            interest: Interest::None,
            outside_review: false,
            strict_dates: false,
            lock_in_until: None,
            terms_hash: [4; 32],
            network: NetworkName::embedded(),
        },
        reserved: units(10_000),
        campaigns_created: 2,
        campaign_indexes_skipped: 3,
        freeze: None,
        terms_version: 1,
        token: Token::Deploying,
        created_at: at(i64::try_from(number).unwrap()),
        version: 0,
    }
}

pub(crate) fn listing(number: u64, product_id: ProductId, platform_id: OrganisationId) -> Listing {
    Listing { id: id(number), product_id, platform_id, created_at: at(3) }
}

pub(crate) fn campaign(number: u64, index: u32, product: &Product, platform_id: OrganisationId) -> Campaign {
    Campaign {
        id: id(number),
        product_id: product.id,
        organisation_id: product.organisation_id,
        index,
        terms: CampaignTerms {
            platform_id,
            name: name("Test"),
            allocation: units(10_000),
            price_per_token: Price::from_wire("100", 2, Currency::parse("EUR").unwrap()).unwrap(),
            min_number_of_tokens: units(1),
            max_number_of_tokens: units(100),
            legal_persons_allowed: true,
            natural_persons_allowed: true,
            country: Country::parse("DEU").unwrap(),
            rule: Rule::PublicOffering,
            agio_percent: Percent::ZERO,
        },
        used: Units::ZERO,
        investments_created: 0,
        numbers_skipped: 5,
        is_active: true,
        created_at: at(4),
        version: 0,
    }
}

pub(crate) fn investor(number: u64, platform_id: OrganisationId) -> Investor {
    Investor {
        id: id(number),
        platform_id,
        person: PersonKind::Natural,
        kyc: Kyc::Pending,
        benefiting_persons: 0,
        created_at: at(i64::try_from(number).unwrap()),
        version: 0,
    }
}

pub(crate) fn wallet(number: u64, investor_id: InvestorId, platform_id: OrganisationId) -> Wallet {
    Wallet { id: id(number), investor_id, platform_id, address: address(number), receiving_enabled: false, created_at: at(6) }
}

pub(crate) fn document(number: u64, organisation_id: OrganisationId) -> Document {
    Document {
        id: id(number),
        organisation_id,
        file_name: "Zeichnungsschein.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        size_bytes: 12_345,
        sha256: [5; 32],
        content_check: ContentCheck::Pdf,
        created_at: at(7),
    }
}

pub(crate) fn signed_document(
    number: u64,
    investment_id: InvestmentId,
    document: u64,
    document_type: SignedDocumentType,
) -> SignedDocument {
    SignedDocument { id: id(number), investment_id, document_type, document_id: id(document), created_at: at(8) }
}

/// An investment of the investor in the campaign: signed, and waiting for identification.
pub(crate) fn investment(number: u64) -> Investment {
    Investment {
        id: id(number),
        product_id: id(PRODUCT),
        campaign_id: id(CAMPAIGN),
        platform_id: id(PLATFORM),
        issuer_organisation_id: id(ISSUER),
        investor_id: id(INVESTOR),
        number: InstructionNumber::of(1, number).unwrap(),
        investment_type: InvestmentType::Primary,
        units: units(10),
        remaining: units(10),
        signed: stated(9),
        disagio: None,
        basis: domain::investment::PayableBasis { terms_version: 1, rule_version: 1, bears_interest: true },
        payable: Payable {
            investment_amount: eur(1_000),
            agio: eur(25),
            disagio: eur(0),
            accrued_interest: eur(0),
            payment_total: eur(1_025),
        },
        wallet: None,
        facts: Facts { kyc_passed_at: None, review: Review::NotAsked, progress: Progress::Signed, ended: None },
        latest_credit: None,
        signed_documents: Vec::new(),
        created_at: at(i64::try_from(number).unwrap()),
        updated_at: at(i64::try_from(number).unwrap()),
        version: 0,
    }
}

pub(crate) fn credit(number: u64, investment: &Investment, state: CreditState) -> Credit {
    Credit {
        id: id(number),
        investment_id: investment.id,
        product_id: investment.product_id,
        platform_id: investment.platform_id,
        investor_id: investment.investor_id,
        number: investment.number,
        units: investment.units,
        address: address(WALLET),
        state,
        created_at: at(i64::try_from(number).unwrap()),
        version: 0,
    }
}

pub(crate) fn instruction(number: u64, credit: &Credit, state: InstructionState) -> Instruction {
    Instruction {
        id: id(number),
        credit_id: credit.id,
        product_id: credit.product_id,
        investment_id: credit.investment_id,
        number: credit.number,
        account: credit.address,
        units: credit.units,
        state,
        created_at: credit.created_at,
        version: 0,
    }
}

impl Store {
    /// A store that has the market in it.
    pub(crate) fn with_market() -> Self {
        let mut store = Self::new();
        store.settle_market();
        store
    }

    /// Puts the market in.
    pub(crate) fn settle_market(&mut self) {
        self.put(|book, record| {
            for (number, kind) in [
                (ISSUER, OrganisationKind::Issuer),
                (OTHER_ISSUER, OrganisationKind::Issuer),
                (PLATFORM, OrganisationKind::Distributor),
                (OTHER_PLATFORM, OrganisationKind::Distributor),
                (REGISTRAR, OrganisationKind::Registrar),
            ] {
                book.organisations.put(id(number), organisation(number, kind));
            }
            for (product_number, owner, platform) in [(PRODUCT, ISSUER, PLATFORM), (OTHER_PRODUCT, OTHER_ISSUER, OTHER_PLATFORM)]
            {
                let product = product(product_number, id(owner));
                book.issuers.put(product.issuer_id, Issuer { id: product.issuer_id, ..issuer(LEGAL_ENTITY, id(owner)) });
                let listing = listing(60 + product_number, product.id, id(platform));
                book.listings.put(listing_key(&listing), listing);
                book.products.put(product.id, product);
            }
            let listing = listing(80, id(PRODUCT), id(OTHER_PLATFORM));
            book.listings.put(listing_key(&listing), listing);
            let product = product(PRODUCT, id(ISSUER));
            book.campaigns.put(id(CAMPAIGN), campaign(CAMPAIGN, 1, &product, id(PLATFORM)));
            book.campaigns.put(id(OTHER_CAMPAIGN), campaign(OTHER_CAMPAIGN, 2, &product, id(OTHER_PLATFORM)));
            for (number, platform) in [(INVESTOR, PLATFORM), (OTHER_INVESTOR, OTHER_PLATFORM)] {
                book.investors.put(id(number), investor(number, id(platform)));
                record.wrapped_keys.push((id(number), vec![7; 48]));
            }
            book.wallets.put(id(WALLET), wallet(WALLET, id(INVESTOR), id(PLATFORM)));
            book.documents.put(id(DOCUMENT), document(DOCUMENT, id(PLATFORM)));
            book.documents.put(id(DOCUMENT + 1), document(DOCUMENT + 1, id(PLATFORM)));
        })
        .unwrap();
    }
}

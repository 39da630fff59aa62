//! The first inhabitants of a sandbox, made by the same operations as everybody else, in one commit.

use domain::ids::{IssuerId, OrganisationId, ProductId};
use domain::interest::Interest;
use domain::investor::PersonKind;
use domain::money::Percent;
use domain::network::NetworkName;
use domain::organisation::{Organisation, OrganisationKind};
use domain::product::{AssetCode, Inconsistent, ProductTerms, ProductType};
use domain::text::Name;
use domain::units::Units;
use domain::wallet::EvmAddress;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Book, Setting, Wanted};
use uuid::Uuid;

use super::client::CreateClient;
use super::investor::{CreateInvestor, KycResult, RecordKyc};
use super::issuer::CreateIssuer;
use super::listing::CreateListing;
use super::organisation::CreateOrganisation;
use super::product::CreateProduct;
use super::wallet::CreateWallet;
use super::{Context, Operation, Refused};
use crate::keyring::{KeyUse, seal};

/// The name under which the inhabitants are remembered, sealed.
pub const INHABITANTS_SETTING: &str = "sandbox_inhabitants";
/// The asset code of the seeded product.
const ASSET_CODE: &str = "SOLAR31";
/// Units of the seeded product.
const ISSUABLE_UNITS_MAX: u64 = 1_000_000;

/// Makes a registrar, an issuer with a product, and a platform with an investor and a wallet.
#[derive(Clone, Debug)]
pub struct SettleSandbox {
    /// Where the product's token stands.
    pub network: NetworkName,
}

/// Who lives in a sandbox, with the secrets that open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhabitants {
    /// The issuer's client.
    pub issuer: Credentials,
    /// The platform's client.
    pub distributor: Credentials,
    /// The registrar's client.
    pub registrar: Credentials,
    /// The platform.
    pub distribution_platform_id: Uuid,
    /// The product.
    pub product_id: Uuid,
    /// The investor.
    pub investor_id: Uuid,
    /// The investor's wallet.
    pub wallet_id: Uuid,
    /// The wallet's address.
    pub wallet_address: String,
}

/// What a client proves itself with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Its id.
    pub client_id: Uuid,
    /// Its secret.
    pub client_secret: String,
}

impl Operation for SettleSandbox {
    type Output = Inhabitants;

    fn want(&self, wanted: &mut Wanted) {
        for (kind, name) in NAMES {
            wanted.organisation_names.insert((kind, name.to_owned()));
        }
        wanted.asset_codes.insert(ASSET_CODE.to_owned());
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Inhabitants, Refused> {
        let mut organisations = Vec::with_capacity(NAMES.len());
        for (kind, text) in NAMES {
            organisations.push(CreateOrganisation { kind, name: name(text)? }.run(book, cx)?);
        }
        let [issuer, platform, registrar] = organisations.as_slice() else { return Err(Inconsistent("sandbox").into()) };
        let product_id = settle_product(&self.network, issuer.id, platform.id, book, cx)?;
        let inhabitants = settle_investor([issuer, platform, registrar], product_id, book, cx)?;
        let plain = serde_json::to_vec(&inhabitants).map_err(|_| Inconsistent("sandbox"))?;
        let key = cx.keyring.derive(KeyUse::SandboxSecrets);
        let value = seal(&key, INHABITANTS_SETTING.as_bytes(), &plain, cx.entropy);
        cx.record.settings.push(Setting { name: INHABITANTS_SETTING.into(), value });
        Ok(inhabitants)
    }
}

const NAMES: [(OrganisationKind, &str); 3] = [
    (OrganisationKind::Issuer, "Solar Nord GmbH"),
    (OrganisationKind::Distributor, "Marktplatz AG"),
    (OrganisationKind::Registrar, "Scrip Sandbox Registrar"),
];

fn settle_product(
    network: &NetworkName,
    organisation_id: OrganisationId,
    platform_id: OrganisationId,
    book: &mut Book,
    cx: &mut Context<'_>,
) -> Result<ProductId, Refused> {
    let issuer = CreateIssuer {
        organisation_id,
        company_name: name("Solar Nord GmbH")?,
        commercial_register: name("Amtsgericht Frankfurt am Main")?,
        commercial_register_number: name("HRB 12344")?,
    };
    let issuer_id: IssuerId = issuer.run(book, cx)?.id;
    let product_id = CreateProduct { organisation_id, issuer_id, terms: terms(network)? }.run(book, cx)?.id;
    CreateListing { organisation_id, product_id, platform_id }.run(book, cx)?;
    Ok(product_id)
}

fn settle_investor(
    [issuer, platform, registrar]: [&Organisation; 3],
    product_id: ProductId,
    book: &mut Book,
    cx: &mut Context<'_>,
) -> Result<Inhabitants, Refused> {
    let personal_data = br#"{"natural_person":{"forename":"Ada","surname":"Sommer","birth_date":"1985-05-20","country":"DEU"}}"#;
    let investor = CreateInvestor {
        platform_id: platform.id,
        person: PersonKind::Natural,
        personal_data: personal_data.to_vec(),
        benefiting_persons: 0,
    };
    let investor_id = investor.run(book, cx)?.id;
    RecordKyc { investor_id, result: KycResult::Passed { valid_until: None } }.run(book, cx)?;
    let address = EvmAddress::new(cx.entropy.bytes());
    let wallet = CreateWallet { platform_id: platform.id, investor_id, address, receiving_enabled: true };
    let wallet_id = wallet.run(book, cx)?.id;
    Ok(Inhabitants {
        issuer: credentials(issuer.id, book, cx)?,
        distributor: credentials(platform.id, book, cx)?,
        registrar: credentials(registrar.id, book, cx)?,
        distribution_platform_id: platform.id.uuid(),
        product_id: product_id.uuid(),
        investor_id: investor_id.uuid(),
        wallet_id: wallet_id.uuid(),
        wallet_address: address.to_string(),
    })
}

fn credentials(organisation_id: OrganisationId, book: &mut Book, cx: &mut Context<'_>) -> Result<Credentials, Refused> {
    let created = CreateClient { organisation_id }.run(book, cx)?;
    Ok(Credentials { client_id: created.client.id.uuid(), client_secret: created.secret })
}

fn terms(network: &NetworkName) -> Result<ProductTerms, Inconsistent> {
    Ok(ProductTerms {
        name: name("Solar Nord Bond 2031")?,
        asset_code: AssetCode::parse(ASSET_CODE).ok_or(Inconsistent("sandbox"))?,
        product_type: ProductType::Bond,
        ewpg: true,
        isin: None,
        issuable_units_max: Units::new(ISSUABLE_UNITS_MAX).ok_or(Inconsistent("sandbox"))?,
        step_size: Units::new(1).ok_or(Inconsistent("sandbox"))?,
        agio_percent: Percent::ZERO,
        nominal_value: None,
        interest: Interest::None,
        outside_review: false,
        strict_dates: false,
        lock_in_until: None,
        terms_hash: Sha256::digest(b"Solar Nord Bond 2031: terms of the sandbox").into(),
        network: network.clone(),
    })
}

fn name(text: &str) -> Result<Name, Inconsistent> {
    Name::parse(text).map_err(|_| Inconsistent("sandbox"))
}

//! Issuers, products and listings.

use domain::freeze::{Difference, Freeze};
use domain::money::Money;
use domain::network::NetworkName;
use domain::product::{AssetCode, Issuer, Listing, Product, ProductTerms, ProductType, Token};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, interest, table};
use crate::error::StoreError;

const UNWRITABLE_INTEREST: &str = "holds interest terms that cannot be written";

table!(
    Issuer, "issuer",
    fixed: ["id", "organisation_id", "company_name", "commercial_register", "commercial_register_number", "created_at"],
    changing: []
);

impl Encode for Issuer {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid())
            .id(self.organisation_id.uuid())
            .text(self.company_name.as_str())
            .text(self.commercial_register.as_str())
            .text(self.commercial_register_number.as_str())
            .instant(self.created_at);
    }
}

impl Decode for Issuer {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            organisation_id: row.id()?,
            company_name: row.name()?,
            commercial_register: row.name()?,
            commercial_register_number: row.name()?,
            created_at: row.instant()?,
        })
    }
}

table!(
    Product, "product",
    fixed: [
        "id", "organisation_id", "issuer_id", "name", "asset_code", "product_type", "ewpg", "isin", "issuable_units_max",
        "step_size", "agio_percent", "outside_review", "strict_dates", "lock_in_until", "terms_hash", "network", "created_at",
    ],
    changing: [
        "nominal_value_minor", "nominal_value_currency", "interest", "terms_version", "reserved", "campaigns_created",
        "campaign_indexes_skipped", "frozen_at", "frozen_block", "frozen_difference", "frozen_detail", "is_release_asked",
        "token_address", "version",
    ]
);

impl Encode for Product {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let terms = &self.terms;
        row.id(self.id.uuid())
            .id(self.organisation_id.uuid())
            .id(self.issuer_id.uuid())
            .text(terms.name.as_str())
            .text(terms.asset_code.as_str())
            .text(terms.product_type.code())
            .flag(terms.ewpg)
            .optional_text(terms.isin.as_deref())
            .units(terms.issuable_units_max)
            .units(terms.step_size)
            .text(&terms.agio_percent.to_string())
            .flag(terms.outside_review)
            .flag(terms.strict_dates)
            .optional_instant(terms.lock_in_until)
            .bytes(&terms.terms_hash)
            .text(terms.network.as_str())
            .instant(self.created_at)
            .optional_signed(terms.nominal_value.map(Money::minor))
            .optional_text(terms.nominal_value.map(|value| value.currency().code()));
        match interest::encode(&terms.interest) {
            Ok(text) => row.text(&text),
            Err(_) => row.refuse(UNWRITABLE_INTEREST),
        };
        row.number(u64::from(self.terms_version)).units(self.reserved).number(u64::from(self.campaigns_created));
        row.number(u64::from(self.campaign_indexes_skipped));
        let freeze = self.freeze.as_ref();
        row.optional_instant(freeze.map(|freeze| freeze.since))
            .optional_number(freeze.map(|freeze| freeze.block_number))
            .optional_text(freeze.map(|freeze| freeze.difference.code()))
            .optional_text(freeze.map(|freeze| freeze.detail.as_str()))
            .flag(freeze.is_some_and(|freeze| freeze.is_release_asked));
        match self.token {
            Token::Deploying => row.optional_bytes(None),
            Token::Deployed(address) => row.bytes(&address.bytes()),
        };
        row.next_version(self.version);
    }
}

impl Decode for Product {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (id, organisation_id, issuer_id) = (row.id()?, row.id()?, row.id()?);
        let (name, asset_code, product_type) = (row.name()?, row.code(AssetCode::parse)?, row.code(ProductType::from_code)?);
        let (ewpg, isin) = (row.flag()?, row.optional_text()?.map(str::to_owned));
        let (issuable_units_max, step_size, agio_percent) = (row.units()?, row.units()?, row.percent()?);
        let (outside_review, strict_dates) = (row.flag()?, row.flag()?);
        let (lock_in_until, terms_hash) = (row.optional_instant()?, row.array()?);
        let (network, created_at) = (row.code(NetworkName::parse)?, row.instant()?);
        let terms = ProductTerms {
            name,
            asset_code,
            product_type,
            ewpg,
            isin,
            issuable_units_max,
            step_size,
            agio_percent,
            nominal_value: optional_money(row)?,
            interest: row.code(interest::decode)?,
            outside_review,
            strict_dates,
            lock_in_until,
            terms_hash,
            network,
        };
        Ok(Self {
            id,
            organisation_id,
            issuer_id,
            terms,
            terms_version: row.number()?,
            created_at,
            reserved: row.units()?,
            campaigns_created: row.number()?,
            campaign_indexes_skipped: row.number()?,
            freeze: freeze(row)?,
            token: row.optional_address()?.map_or(Token::Deploying, Token::Deployed),
            version: row.number()?,
        })
    }
}

/// Why a product's credits rest: five columns that are filled together.
fn freeze<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Option<Freeze>, StoreError> {
    let (since, block_number) = (row.optional_instant()?, row.optional_number()?);
    let (difference, detail) = (row.optional_code(Difference::from_code)?, row.optional_text()?.map(str::to_owned));
    match (since, block_number, difference, detail, row.flag()?) {
        (Some(since), Some(block_number), Some(difference), Some(detail), is_release_asked) => {
            Ok(Some(Freeze { since, block_number, difference, detail, is_release_asked }))
        }
        (None, None, None, None, false) => Ok(None),
        _ => Err(row.fault()),
    }
}

table!(Listing, "listing", fixed: ["id", "product_id", "platform_id", "created_at"], changing: []);

impl Encode for Listing {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid()).id(self.product_id.uuid()).id(self.platform_id.uuid()).instant(self.created_at);
    }
}

impl Decode for Listing {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self { id: row.id()?, product_id: row.id()?, platform_id: row.id()?, created_at: row.instant()? })
    }
}

/// Minor units and their currency, two columns that are filled both or not at all.
pub(super) fn optional_money<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Option<Money>, StoreError> {
    let minor = row.optional_number()?;
    let currency = row.optional_code(|code| domain::money::Currency::parse(code).ok())?;
    match (minor, currency) {
        (Some(minor), Some(currency)) => Ok(Some(Money::from_minor(minor, currency))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(row.fault()),
    }
}

//! Who trades in a seeded register: platforms, products and campaigns, made by the operations of the API before anything is
//! sold.

use std::path::Path;

use domain::campaign::{CampaignTerms, Rule};
use domain::country::Country;
use domain::document::{ContentCheck, SignedDocumentType};
use domain::ids::{CampaignId, DocumentId, IssuerId, OrganisationId, ProductId};
use domain::instant::Instant;
use domain::interest::Interest;
use domain::money::{Currency, Percent, Price};
use domain::network::NetworkName;
use domain::organisation::OrganisationKind;
use domain::product::{AssetCode, ProductTerms, ProductType};
use domain::text::Name;
use domain::units::Units;
use server::documents::DocumentFolder;
use server::entropy::Entropy;
use server::operations::campaign::CreateCampaign;
use server::operations::document::StoreDocument;
use server::operations::investment::DocumentReference;
use server::operations::issuer::CreateIssuer;
use server::operations::listing::CreateListing;
use server::operations::organisation::CreateOrganisation;
use server::operations::product::CreateProduct;
use server::operations::sandbox::Inhabitants;
use server::program::Office;
use sha2::{Digest, Sha256};

use super::UNITS_MAX_OF_ONE;
use crate::Failure;

/// Platforms beside the sandbox's own.
const OTHER_PLATFORMS: [&str; 3] = ["Boerse Sued AG", "Invest Direkt GmbH", "Zeichnung24 GmbH"];
/// Which platform sells each of twenty campaigns: 0 is the sandbox's own.
const SELLERS: [usize; 20] = [0, 1, 0, 2, 0, 0, 1, 0, 3, 0, 0, 1, 0, 2, 0, 0, 1, 0, 2, 0];
/// Asset codes of the products.
const PRODUCTS: [&str; 4] = ["WINDPARK33", "HAFEN29", "QUARTIER40", "SPEICHER35"];
/// The campaign with this place sells the product whose investments wait for an outside review.
const REVIEWED: usize = 24;
/// Its asset code.
const REVIEWED_PRODUCT: &str = "KLINIK38";
/// Units that a product may have: more than any number of seeded investments takes.
const ISSUABLE_UNITS_MAX: u64 = 1_000_000_000_000;

/// A campaign and what its buyers sign.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The place of its platform.
    pub platform: usize,
    /// The platform.
    pub platform_id: OrganisationId,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// What is signed.
    pub papers: [DocumentReference; 2],
    /// Whether its investments wait for an outside review.
    pub is_reviewed: bool,
}

/// Everything that is there before the first sale.
#[derive(Debug)]
pub struct Town {
    /// Campaigns, in the order in which they sell.
    pub sites: Vec<Site>,
    /// Platforms.
    pub platforms: usize,
    /// A product with room for further campaigns.
    pub product_id: ProductId,
}

/// What the makers of a town have at hand.
pub struct Builder<'a> {
    /// Keys, desk and archive.
    pub office: &'a Office,
    /// Randomness.
    pub entropy: &'a mut Entropy,
    /// Where documents' bytes lie.
    pub documents: &'a DocumentFolder,
    /// When everything is made.
    pub now: Instant,
}

impl Builder<'_> {
    /// Makes a town with so many campaigns of `sales` investments each.
    pub async fn town(&mut self, inhabitants: &Inhabitants, campaigns: usize, sales: u64) -> Result<Town, Failure> {
        let own = OrganisationId::new(inhabitants.distribution_platform_id);
        let product = self.office.archive.product_any(ProductId::new(inhabitants.product_id))?;
        let organisation_id = product.ok_or("the sandbox has no product")?.organisation_id;
        let mut platforms = vec![own];
        for platform in OTHER_PLATFORMS {
            let create = CreateOrganisation { kind: OrganisationKind::Distributor, name: name(platform)? };
            platforms.push(self.office.desk.run(create, self.now).await?.id);
        }
        let issuer_id = self.issuer(organisation_id).await?;
        let mut products = Vec::with_capacity(PRODUCTS.len());
        for code in PRODUCTS {
            products.push(self.product(organisation_id, issuer_id, code, &platforms).await?);
        }
        let reviewed = self.product(organisation_id, issuer_id, REVIEWED_PRODUCT, &platforms).await?;
        let mut sites = Vec::with_capacity(campaigns);
        for place in 0..campaigns {
            let is_reviewed = place == REVIEWED;
            let platform = SELLERS[place % SELLERS.len()];
            let product_id = if is_reviewed { reviewed } else { products[place % products.len()] };
            let platform_id = platforms[platform];
            let campaign_id = self.campaign(organisation_id, product_id, platform_id, place, sales).await?;
            let papers = self.papers(platform_id, place).await?;
            sites.push(Site { platform, platform_id, campaign_id, papers, is_reviewed });
        }
        Ok(Town { sites, platforms: platforms.len(), product_id: products[0] })
    }

    async fn issuer(&self, organisation_id: OrganisationId) -> Result<IssuerId, Failure> {
        let create = CreateIssuer {
            organisation_id,
            company_name: name("Solar Nord Projekte GmbH")?,
            commercial_register: name("Amtsgericht Frankfurt am Main")?,
            commercial_register_number: name("HRB 12345")?,
        };
        Ok(self.office.desk.run(create, self.now).await?.id)
    }

    async fn product(
        &self,
        organisation_id: OrganisationId,
        issuer_id: IssuerId,
        code: &str,
        platforms: &[OrganisationId],
    ) -> Result<ProductId, Failure> {
        let terms = ProductTerms {
            name: name(code)?,
            asset_code: AssetCode::parse(code).ok_or("not an asset code")?,
            product_type: ProductType::Bond,
            ewpg: true,
            isin: None,
            issuable_units_max: units(ISSUABLE_UNITS_MAX)?,
            step_size: units(1)?,
            agio_percent: Percent::ZERO,
            nominal_value: None,
            interest: Interest::None,
            outside_review: code == REVIEWED_PRODUCT,
            strict_dates: false,
            lock_in_until: None,
            terms_hash: Sha256::digest(code.as_bytes()).into(),
            network: NetworkName::embedded(),
        };
        let desk = &self.office.desk;
        let product_id = desk.run(CreateProduct { organisation_id, issuer_id, terms }, self.now).await?.id;
        for &platform_id in platforms {
            desk.run(CreateListing { organisation_id, product_id, platform_id }, self.now).await?;
        }
        Ok(product_id)
    }

    async fn campaign(
        &self,
        organisation_id: OrganisationId,
        product_id: ProductId,
        platform_id: OrganisationId,
        place: usize,
        sales: u64,
    ) -> Result<CampaignId, Failure> {
        let terms = CampaignTerms {
            platform_id,
            name: name(&format!("Seeded {place}"))?,
            allocation: units(sales.saturating_mul(UNITS_MAX_OF_ONE))?,
            price_per_token: Price::from_wire("10000", 2, Currency::parse("EUR")?)?,
            min_number_of_tokens: units(1)?,
            max_number_of_tokens: units(UNITS_MAX_OF_ONE)?,
            legal_persons_allowed: true,
            natural_persons_allowed: true,
            country: Country::parse("DEU").ok_or("not a country")?,
            rule: Rule::PublicOffering,
            agio_percent: Percent::ZERO,
        };
        let create = CreateCampaign { organisation_id, product_id, terms, agio_percent: None, is_active: true };
        Ok(self.office.desk.run(create, self.now).await?.id)
    }

    /// The two documents that every buyer of a campaign signs.
    async fn papers(&mut self, platform_id: OrganisationId, place: usize) -> Result<[DocumentReference; 2], Failure> {
        Ok([
            self.paper(platform_id, place, SignedDocumentType::EffectaCryptoregistryTos).await?,
            self.paper(platform_id, place, SignedDocumentType::EffectaDocument).await?,
        ])
    }

    async fn paper(
        &mut self,
        organisation_id: OrganisationId,
        place: usize,
        document_type: SignedDocumentType,
    ) -> Result<DocumentReference, Failure> {
        let id: DocumentId = self.entropy.id(self.now);
        let file_name = format!("{}-{place}.pdf", document_type.code());
        let bytes = format!("%PDF-1.4\n% {file_name}\n%%EOF\n").into_bytes();
        let received = self.documents.incoming().join(&file_name);
        self.keep(id, &received, &bytes).await?;
        let store = StoreDocument {
            id,
            organisation_id,
            file_name,
            content_type: "application/pdf".to_owned(),
            size_bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).into(),
            content_check: ContentCheck::of(&bytes, &bytes),
        };
        self.office.desk.run(store, self.now).await?;
        Ok(DocumentReference { document_type, document_id: id })
    }

    async fn keep(&self, id: DocumentId, received: &Path, bytes: &[u8]) -> Result<(), Failure> {
        std::fs::write(received, bytes)?;
        std::fs::File::open(received)?.sync_all()?;
        self.documents.place(id, received).await?;
        std::fs::remove_file(received)?;
        Ok(())
    }
}

fn name(text: &str) -> Result<Name, Failure> {
    Name::parse(text).map_err(|fault| format!("{text}: {fault:?}").into())
}

fn units(number: u64) -> Result<Units, Failure> {
    Units::new(number).ok_or_else(|| "too many units".into())
}

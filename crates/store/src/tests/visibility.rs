//! T01–T09: what belongs to somebody else is not found.

use domain::credit::CreditState;
use domain::document::SignedDocumentType;
use domain::organisation::OrganisationKind;

use super::market::*;
use super::{Store, id};
use crate::queries::{From, InvestmentFilter, PageRequest, Viewer};

const FIRST: PageRequest = PageRequest { from: From::Start, limit: 50 };

/// A market with one credited investment of the platform.
fn with_credit() -> Store {
    let mut store = Store::with_market();
    store
        .put(|book, _| {
            let mut row = investment(1_000);
            row.signed_documents.push(signed_document(900, row.id, DOCUMENT, SignedDocumentType::EffectaDocument));
            book.credits.put(id(2_000), credit(2_000, &row, CreditState::Processing));
            book.investments.put(row.id, row);
        })
        .unwrap();
    store
}

#[test]
fn investments_are_seen_by_their_platform_and_the_issuer_of_their_product() {
    let store = with_credit();
    let reader = &store.reader;
    for (viewer, sees) in [
        (Viewer::Platform(id(PLATFORM)), true),
        (Viewer::Issuer(id(ISSUER)), true),
        (Viewer::Platform(id(OTHER_PLATFORM)), false),
        (Viewer::Issuer(id(OTHER_ISSUER)), false),
        // An id of the other kind of organisation opens nothing.
        (Viewer::Platform(id(ISSUER)), false),
        (Viewer::Issuer(id(PLATFORM)), false),
    ] {
        assert_eq!(reader.investment(viewer, id(1_000)).unwrap().is_some(), sees, "{viewer:?}");
        let page = reader.investments(viewer, &InvestmentFilter::default(), FIRST).unwrap();
        assert_eq!((page.rows.len() == 1, page.count == 1), (sees, sees), "{viewer:?}");
        for filter in [
            InvestmentFilter { investor_id: Some(id(INVESTOR)), ..InvestmentFilter::default() },
            InvestmentFilter { campaign_id: Some(id(CAMPAIGN)), ..InvestmentFilter::default() },
            InvestmentFilter { product_id: Some(id(PRODUCT)), ..InvestmentFilter::default() },
        ] {
            let page = reader.investments(viewer, &filter, FIRST).unwrap();
            assert_eq!((page.rows.len() == 1, page.count == 1), (sees, sees), "{viewer:?} {filter:?}");
        }
        let signed = reader.signed_documents(viewer, id(1_000), FIRST).unwrap();
        assert_eq!(signed.map(|page| page.rows.len()), sees.then_some(1), "{viewer:?}");
    }
    assert_eq!(reader.signed_documents(Viewer::Issuer(id(ISSUER)), id(1_001), FIRST).unwrap(), None);
}

#[test]
fn credits_are_seen_by_the_platform_of_the_investment() {
    let store = with_credit();
    let reader = &store.reader;
    assert_eq!(reader.credits(id(PLATFORM), id(1_000), FIRST).unwrap().unwrap().count, 1);
    assert!(reader.credit(id(PLATFORM), id(1_000), id(2_000)).unwrap().is_some());
    for (platform, investment, credit) in
        [(OTHER_PLATFORM, 1_000, 2_000), (ISSUER, 1_000, 2_000), (PLATFORM, 1_001, 2_000), (PLATFORM, 1_000, 2_001)]
    {
        assert_eq!(reader.credit(id(platform), id(investment), id(credit)).unwrap(), None);
    }
    assert_eq!(reader.credits(id(OTHER_PLATFORM), id(1_000), FIRST).unwrap(), None);
}

#[test]
fn products_are_seen_by_their_owner_and_where_they_are_listed() {
    let store = Store::with_market();
    let reader = &store.reader;
    for (viewer, product, sees) in [
        (Viewer::Issuer(id(ISSUER)), PRODUCT, true),
        (Viewer::Issuer(id(OTHER_ISSUER)), PRODUCT, false),
        (Viewer::Platform(id(PLATFORM)), PRODUCT, true),
        (Viewer::Platform(id(OTHER_PLATFORM)), PRODUCT, true),
        (Viewer::Platform(id(PLATFORM)), OTHER_PRODUCT, false),
        (Viewer::Platform(id(OTHER_PLATFORM)), OTHER_PRODUCT, true),
        (Viewer::Issuer(id(ISSUER)), OTHER_PRODUCT, false),
    ] {
        assert_eq!(reader.product(viewer, id(product)).unwrap().is_some(), sees, "{viewer:?} {product}");
        let listed = reader.products(viewer, FIRST).unwrap().rows.iter().any(|row| row.id == id(product));
        assert_eq!(listed, sees, "{viewer:?} {product}");
        assert_eq!(reader.campaigns(viewer, id(product), FIRST).unwrap().is_some(), sees, "{viewer:?} {product}");
    }
}

#[test]
fn campaigns_are_seen_by_the_issuer_and_the_platform_they_are_made_for() {
    let store = Store::with_market();
    let reader = &store.reader;
    for (viewer, expected) in [
        (Viewer::Issuer(id(ISSUER)), vec![CAMPAIGN, OTHER_CAMPAIGN]),
        (Viewer::Platform(id(PLATFORM)), vec![CAMPAIGN]),
        (Viewer::Platform(id(OTHER_PLATFORM)), vec![OTHER_CAMPAIGN]),
    ] {
        let page = reader.campaigns(viewer, id(PRODUCT), FIRST).unwrap().unwrap();
        let expected_ids: Vec<_> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected_ids, "{viewer:?}");
        assert_eq!(page.count, u64::try_from(expected.len()).unwrap());
        for number in [CAMPAIGN, OTHER_CAMPAIGN] {
            let found = reader.campaign(viewer, id(PRODUCT), id(number)).unwrap().is_some();
            assert_eq!(found, expected.contains(&number), "{viewer:?} {number}");
            assert_eq!(reader.campaign(viewer, id(OTHER_PRODUCT), id(number)).unwrap(), None);
        }
    }
    assert_eq!(reader.campaign(Viewer::Issuer(id(OTHER_ISSUER)), id(PRODUCT), id(CAMPAIGN)).unwrap(), None);
}

#[test]
fn investors_and_wallets_are_seen_by_their_platform() {
    let store = Store::with_market();
    let reader = &store.reader;
    for (platform, sees) in [(PLATFORM, true), (OTHER_PLATFORM, false), (ISSUER, false)] {
        assert_eq!(reader.investor(id(platform), id(INVESTOR)).unwrap().is_some(), sees);
        let listed = reader.investors(id(platform), FIRST).unwrap().rows.iter().any(|row| row.id == id(INVESTOR));
        assert_eq!(listed, sees);
        let wallets = reader.wallets(id(platform), id(INVESTOR), FIRST).unwrap();
        assert_eq!(wallets.map(|page| page.count), sees.then_some(1));
        assert_eq!(reader.wallet(id(platform), id(INVESTOR), id(WALLET)).unwrap().is_some(), sees);
    }
    assert_eq!(reader.wallet(id(PLATFORM), id(OTHER_INVESTOR), id(WALLET)).unwrap(), None);
}

#[test]
fn issuers_listings_and_platforms_are_seen_by_whom_they_concern() {
    let store = Store::with_market();
    let reader = &store.reader;
    let entity = id(LEGAL_ENTITY);
    assert!(reader.issuer(id(ISSUER), entity).unwrap().is_some());
    assert_eq!(reader.issuer(id(OTHER_ISSUER), entity).unwrap(), None);
    assert_eq!(reader.issuers(id(OTHER_ISSUER), FIRST).unwrap().count, 1);
    assert_eq!(reader.listings(id(ISSUER), FIRST).unwrap().count, 2);
    assert!(reader.listing(id(ISSUER), id(60 + PRODUCT)).unwrap().is_some());
    assert_eq!(reader.listing(id(OTHER_ISSUER), id(60 + PRODUCT)).unwrap(), None);
    assert!(reader.platform(id(PLATFORM)).unwrap().is_some());
    assert_eq!(reader.platform(id(ISSUER)).unwrap(), None);
    assert_eq!(reader.platforms(FIRST).unwrap().count, 2);
}

#[test]
fn documents_are_seen_by_their_uploader_and_with_the_investment() {
    let store = with_credit();
    for (organisation, kind, document, sees) in [
        (PLATFORM, OrganisationKind::Distributor, DOCUMENT, true),
        (OTHER_PLATFORM, OrganisationKind::Distributor, DOCUMENT, false),
        (ISSUER, OrganisationKind::Issuer, DOCUMENT, true),
        (OTHER_ISSUER, OrganisationKind::Issuer, DOCUMENT, false),
        (REGISTRAR, OrganisationKind::Registrar, DOCUMENT, true),
        (PLATFORM, OrganisationKind::Distributor, DOCUMENT + 1, true),
        (ISSUER, OrganisationKind::Issuer, DOCUMENT + 1, false),
        (REGISTRAR, OrganisationKind::Registrar, DOCUMENT + 1, false),
    ] {
        let found = store.reader.document(id(organisation), kind, id(document)).unwrap();
        assert_eq!(found.is_some(), sees, "{kind:?} {organisation}, document {document}");
    }
}

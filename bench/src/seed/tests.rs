//! A small register on the embedded engine, made and verified.

use super::*;
use crate::sandbox::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_register_verifies_and_has_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place { data: folder.path().join("data"), database: None, networks: None };
    let manifest = fill(&mut place, EngineName::Embedded, 2_010).await.unwrap();
    assert_eq!(manifest.investments, 2_050, "fifty campaigns sell the same number");
    let report = server::verify::verify(&place.data, None).await.unwrap();
    assert!(report.rows > manifest.investments + 3 * manifest.investors);
    let office = Office::open(&place.data, None).unwrap();
    let viewer = store::queries::Viewer::Issuer(
        office.archive.product_any(manifest.product_id.parse::<uuid::Uuid>().unwrap().into()).unwrap().unwrap().organisation_id,
    );
    let first = store::queries::PageRequest { from: store::queries::From::Start, limit: 1 };
    let mut found = 0;
    for status in ["WAITING_FOR_ACCEPTANCE", "ACCEPTED", "PAID", "ABORTED", "KYC_PENDING", "KYC_INSUFFICIENT", "REVIEW_PENDING"] {
        let status = domain::investment::Status::from_code(status);
        let filter = store::queries::InvestmentFilter { status, ..Default::default() };
        let count = office.archive.investments(viewer, &filter, first).unwrap().count;
        assert!(count > 0, "no investment is {status:?}");
        found += count;
    }
    assert_eq!(found, manifest.investments);
}

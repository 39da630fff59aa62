//! Pages of lists.

use domain::ids::InvestmentId;
use domain::investment::{AssignedWallet, Status};
use domain::organisation::{Organisation, OrganisationKind};

use super::market::*;
use super::{Store, at, id};
use crate::queries::{From, InvestmentFilter, Page, PageRequest, Position, Viewer};

const PLATFORM_VIEWER: fn() -> Viewer = || Viewer::Platform(id(PLATFORM));

fn request(from: From, limit: u32) -> PageRequest {
    PageRequest { from, limit }
}

fn first(limit: u32) -> PageRequest {
    request(From::Start, limit)
}

/// A market with 25 investments, in groups of three that were created at the same instant; every fifth is accepted
/// early, and every seventh has a wallet.
fn with_investments() -> Store {
    let mut store = Store::with_market();
    store
        .put(|book, _| {
            for number in 0..25 {
                let mut row = investment(1_000 + number);
                row.created_at = at(1_000 + i64::try_from(number / 3).unwrap());
                if number % 5 == 0 {
                    row.facts.kyc_passed_at = Some(at(1));
                }
                if number % 7 == 0 {
                    row.wallet = Some(AssignedWallet { id: id(WALLET), address: address(WALLET) });
                }
                book.investments.put(row.id, row);
            }
        })
        .unwrap();
    store
}

fn ids<T>(page: &Page<T>, id_of: impl Fn(&T) -> InvestmentId) -> Vec<u64> {
    page.rows.iter().map(|row| id_of(row).uuid().as_u64_pair().1 & 0xffff).collect()
}

#[test]
fn pages_lead_forwards_and_back_again() {
    let store = with_investments();
    let all: Vec<u64> = (1_000..1_025).collect();
    for limit in [1, 2, 3, 7, 24, 25, 200] {
        let read = |from| {
            let filter = InvestmentFilter::default();
            store.reader.investments(PLATFORM_VIEWER(), &filter, request(from, limit)).unwrap()
        };
        let (mut forwards, mut pages, mut from) = (Vec::<u64>::new(), Vec::new(), From::Start);
        loop {
            let page = read(from);
            assert_eq!(page.count, 25);
            assert_eq!(page.has_previous, !forwards.is_empty(), "limit {limit}");
            let these = ids(&page, |row| row.id);
            forwards.extend(&these);
            assert_eq!(page.has_next, forwards.len() < all.len(), "limit {limit}");
            let last = page.rows.last().unwrap();
            from = From::After(Position { created_at: last.created_at, id: last.id.uuid() });
            let has_next = page.has_next;
            pages.push(page);
            if !has_next {
                break;
            }
        }
        assert_eq!(forwards, all, "limit {limit}");
        while let Some(page) = pages.pop() {
            let edge = &page.rows[0];
            let before = read(From::Before(Position { created_at: edge.created_at, id: edge.id.uuid() }));
            match pages.last() {
                Some(expected) => assert_eq!(&before, expected, "limit {limit}"),
                None => assert_eq!((before.rows.len(), before.has_previous, before.has_next), (0, false, true)),
            }
        }
        let end = read(from);
        assert_eq!((end.rows.len(), end.has_previous, end.has_next), (0, true, false), "limit {limit}");
    }
}

/// Two hundred investments in more campaigns than one statement walks, each next to one of another campaign, but for forty
/// that one campaign sold in a row; every third waits for acceptance, and some were created at the same instant.
fn in_many_campaigns() -> Store {
    let mut store = Store::with_market();
    let campaigns = 37;
    store
        .put(|book, _| {
            let product = product(PRODUCT, id(ISSUER));
            for number in 0..campaigns {
                let row = campaign(5_000 + number, u32::try_from(number).unwrap() + 10, &product, id(PLATFORM));
                book.campaigns.put(row.id, row);
            }
            for number in 0..200 {
                let mut row = investment(1_000 + number);
                let is_in_a_row = (40..80).contains(&number);
                row.campaign_id = id(5_000 + if is_in_a_row { 3 } else { number * 7 % campaigns });
                row.created_at = at(1_000 + i64::try_from(number / 3).unwrap());
                if number % 3 == 0 {
                    row.facts.kyc_passed_at = Some(at(1));
                }
                book.investments.put(row.id, row);
            }
        })
        .unwrap();
    store
}

#[test]
fn lists_that_lie_in_many_campaigns_are_one_list() {
    let store = in_many_campaigns();
    let waiting = Some(Status::WaitingForAcceptance);
    let none = InvestmentFilter::default();
    let thirds: Vec<u64> = (1_000..1_200).step_by(3).collect();
    for (filter, all) in [
        (InvestmentFilter { product_id: Some(id(PRODUCT)), ..none }, (1_000..1_200).collect()),
        (InvestmentFilter { status: waiting, ..none }, thirds.clone()),
        (InvestmentFilter { status: waiting, product_id: Some(id(PRODUCT)), ..none }, thirds),
        (InvestmentFilter { status: Some(Status::Paid), ..none }, Vec::new()),
        (InvestmentFilter { product_id: Some(id(OTHER_PRODUCT)), ..none }, Vec::new()),
    ] {
        for viewer in [PLATFORM_VIEWER(), Viewer::Issuer(id(ISSUER))] {
            for limit in [1, 7, 66, 67, 200] {
                let read = |from| store.reader.investments(viewer, &filter, request(from, limit)).unwrap();
                let (mut forwards, mut from, mut before) = (Vec::<u64>::new(), From::Start, None);
                loop {
                    let page = read(from);
                    assert_eq!(page.count, all.len() as u64, "{filter:?}");
                    assert_eq!(page.has_previous, !forwards.is_empty(), "{filter:?} limit {limit}");
                    forwards.extend(ids(&page, |row| row.id));
                    assert_eq!(page.has_next, forwards.len() < all.len(), "{filter:?} limit {limit}");
                    let Some(edge) = page.rows.first() else { break };
                    if let Some(expected) = before {
                        let edge = Position { created_at: edge.created_at, id: edge.id.uuid() };
                        assert_eq!(read(From::Before(edge)), expected, "{filter:?} limit {limit}");
                    }
                    let last = page.rows.last().unwrap();
                    from = From::After(Position { created_at: last.created_at, id: last.id.uuid() });
                    if !page.has_next {
                        break;
                    }
                    before = Some(page);
                }
                assert_eq!(forwards, all, "{filter:?} limit {limit}");
            }
        }
    }
    let foreign = Viewer::Platform(id(OTHER_PLATFORM));
    let page = store.reader.investments(foreign, &InvestmentFilter { status: waiting, ..none }, first(10)).unwrap();
    assert_eq!((page.count, page.rows.len()), (0, 0));
}

#[test]
fn a_page_has_between_one_and_two_hundred_rows() {
    let mut store = Store::with_market();
    store.put(|book, _| (0..203).for_each(|n| book.investments.put(id(1_000 + n), investment(1_000 + n)))).unwrap();
    for (limit, rows) in [(0, 1), (1, 1), (200, 200), (u32::MAX, 200)] {
        let page = store.reader.investments(PLATFORM_VIEWER(), &InvestmentFilter::default(), first(limit)).unwrap();
        assert_eq!((page.rows.len(), page.count, page.has_next), (rows, 203, true), "limit {limit}");
    }
}

#[test]
fn investments_are_filtered_and_counted() {
    let store = with_investments();
    let none = InvestmentFilter::default();
    let waiting = Some(Status::WaitingForAcceptance);
    for viewer in [PLATFORM_VIEWER(), Viewer::Issuer(id(ISSUER))] {
        for (filter, expected) in [
            (none, 25),
            (InvestmentFilter { status: Some(Status::KycPending), ..none }, 20),
            (InvestmentFilter { status: waiting, ..none }, 5),
            (InvestmentFilter { status: Some(Status::Paid), ..none }, 0),
            (InvestmentFilter { campaign_id: Some(id(CAMPAIGN)), ..none }, 25),
            (InvestmentFilter { campaign_id: Some(id(CAMPAIGN)), status: waiting, ..none }, 5),
            (InvestmentFilter { campaign_id: Some(id(OTHER_CAMPAIGN)), ..none }, 0),
            (InvestmentFilter { product_id: Some(id(PRODUCT)), status: waiting, ..none }, 5),
            (InvestmentFilter { product_id: Some(id(OTHER_PRODUCT)), ..none }, 0),
            (InvestmentFilter { investor_id: Some(id(INVESTOR)), ..none }, 25),
            (InvestmentFilter { investor_id: Some(id(INVESTOR)), status: waiting, ..none }, 5),
            (InvestmentFilter { investor_id: Some(id(OTHER_INVESTOR)), ..none }, 0),
            (InvestmentFilter { wallet_id: Some(id(WALLET)), ..none }, 4),
            (InvestmentFilter { wallet_id: Some(id(WALLET)), status: waiting, ..none }, 1),
            (InvestmentFilter { wallet_id: Some(id(999)), ..none }, 0),
            (InvestmentFilter { wallet_id: Some(id(WALLET)), investor_id: Some(id(OTHER_INVESTOR)), ..none }, 0),
        ] {
            let page = store.reader.investments(viewer, &filter, first(200)).unwrap();
            assert_eq!((page.count, page.rows.len()), (expected, usize::try_from(expected).unwrap()), "{filter:?}");
            let page = store.reader.investments(viewer, &filter, first(2)).unwrap();
            assert_eq!((page.count, page.has_next), (expected, expected > 2), "{filter:?}");
        }
    }
}

#[test]
fn counts_follow_every_change_of_status() {
    let mut store = with_investments();
    let wanted = crate::Wanted { investments: [id(1_001), id(1_002)].into(), ..crate::Wanted::default() };
    store
        .change(&wanted, |book, _| {
            for number in [1_001, 1_002] {
                let mut row = book.investments.get(&id(number)).unwrap().clone();
                row.facts.kyc_passed_at = Some(at(2));
                book.investments.put(row.id, row);
            }
            book.investments.put(id(1_100), investment(1_100));
        })
        .unwrap();
    for (status, expected) in [(Status::KycPending, 19), (Status::WaitingForAcceptance, 7)] {
        let filter = InvestmentFilter { status: Some(status), ..InvestmentFilter::default() };
        assert_eq!(store.reader.investments(PLATFORM_VIEWER(), &filter, first(1)).unwrap().count, expected);
        let counted = store.shell(&format!("SELECT count(*) FROM investment WHERE status = '{}'", status.code())).unwrap();
        assert_eq!(counted, expected.to_string());
    }
}

#[test]
fn other_lists_have_pages_too() {
    let mut store = Store::with_market();
    store
        .put(|book, _| {
            for number in 100..105 {
                book.organisations.put(id(number), organisation(number, OrganisationKind::Distributor));
                book.issuers.put(id(number), issuer(number, id(ISSUER)));
                book.products.put(id(number), product(number, id(ISSUER)));
                book.investors.put(id(number), investor(number, id(PLATFORM)));
                book.wallets.put(id(number), wallet(number, id(INVESTOR), id(PLATFORM)));
                let campaign = campaign(number, u32::try_from(number).unwrap(), &product(PRODUCT, id(ISSUER)), id(PLATFORM));
                book.campaigns.put(id(number), campaign);
            }
        })
        .unwrap();
    let reader = &store.reader;
    let issuer_viewer = Viewer::Issuer(id(ISSUER));
    let counts = [
        reader.platforms(first(2)).map(|page| (page.count, page.rows.len(), page.has_next)).unwrap(),
        reader.issuers(id(ISSUER), first(2)).map(|page| (page.count, page.rows.len(), page.has_next)).unwrap(),
        reader.products(issuer_viewer, first(2)).map(|page| (page.count, page.rows.len(), page.has_next)).unwrap(),
        reader.investors(id(PLATFORM), first(2)).map(|page| (page.count, page.rows.len(), page.has_next)).unwrap(),
        reader
            .wallets(id(PLATFORM), id(INVESTOR), first(2))
            .map(Option::unwrap)
            .map(|page| (page.count, page.rows.len(), page.has_next))
            .unwrap(),
        reader
            .campaigns(issuer_viewer, id(PRODUCT), first(2))
            .map(Option::unwrap)
            .map(|page| (page.count, page.rows.len(), page.has_next))
            .unwrap(),
    ];
    assert_eq!(counts, [(7, 2, true), (6, 2, true), (6, 2, true), (6, 2, true), (6, 2, true), (7, 2, true)]);
    let platforms = reader.platforms(first(200)).unwrap().rows;
    assert!(platforms.is_sorted_by_key(|platform: &Organisation| (platform.created_at, platform.id)));
}

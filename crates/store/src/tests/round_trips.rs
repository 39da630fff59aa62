//! What is written is read back, by the writer and by the reader.

use domain::campaign::Rule;
use domain::credit::{CreditFailure, CreditState};
use domain::document::{ContentCheck, SignedDocumentType};
use domain::freeze::{Difference, Freeze};
use domain::ids::{InvestmentId, InvestorId, LedgerTransactionId};
use domain::instruction::InstructionState;
use domain::investment::{AssignedWallet, Ended, Ending, Facts, Investment, LatestCredit, Progress, Review};
use domain::investor::{Kyc, PersonKind};
use domain::journal::{Entry, Head, Object, ObjectKind};
use domain::ledger_transaction::{Attempt, LedgerTransaction, LedgerTransactionState, Purpose, Signer};
use domain::money::{Currency, Money, Percent, Price};
use domain::network::NetworkName;
use domain::organisation::OrganisationKind;
use domain::product::{ProductType, Token};
use domain::units::{UNITS_MAX, Units};
use uuid::Uuid;

use super::market::*;
use super::{Store, at, id};
use crate::queries::{StoredEntry, Viewer};
use crate::{RevokedToken, Setting, Wanted};

#[test]
fn organisations_clients_and_issuers_come_back() {
    let mut store = Store::new();
    let mut written = Vec::new();
    store
        .put(|book, _| {
            for (number, kind) in
                [OrganisationKind::Issuer, OrganisationKind::Distributor, OrganisationKind::Registrar].into_iter().enumerate()
            {
                let number = u64::try_from(number).unwrap() + 1;
                let organisation = organisation(number, kind);
                let mut client = client(100 + number, &organisation);
                client.revoked_at = (number == 2).then(|| at(77));
                let issuer = issuer(200 + number, organisation.id);
                book.organisations.put(organisation.id, organisation.clone());
                book.clients.put(client.id, client.clone());
                book.issuers.put(issuer.id, issuer.clone());
                written.push((organisation, client, issuer));
            }
        })
        .unwrap();
    for (organisation, client, issuer) in &written {
        let reader = &store.reader;
        assert_eq!(reader.organisation(organisation.id).unwrap().as_ref(), Some(organisation));
        let by_name = reader.organisation_by_name(organisation.kind, organisation.name.as_str()).unwrap();
        assert_eq!(by_name.as_ref(), Some(organisation));
        assert_eq!(reader.client(client.id).unwrap().as_ref(), Some(client));
        assert_eq!(reader.issuer(organisation.id, issuer.id).unwrap().as_ref(), Some(issuer));
        let wanted = Wanted {
            organisations: [organisation.id].into(),
            clients: [client.id].into(),
            issuers: [issuer.id].into(),
            organisation_names: [(organisation.kind, organisation.name.as_str().to_owned()), (organisation.kind, "X".into())]
                .into(),
            ..Wanted::default()
        };
        let book = store.look(&wanted);
        assert_eq!(book.organisations.get(&organisation.id), Some(organisation));
        assert_eq!(book.clients.get(&client.id), Some(client));
        assert_eq!(book.issuers.get(&issuer.id), Some(issuer));
        assert_eq!(book.organisation_names_taken, [(organisation.kind, organisation.name.as_str().to_owned())].into());
    }
    let clients: Vec<_> = written.iter().map(|(_, client, _)| client.clone()).collect();
    assert_eq!(store.reader.clients().unwrap(), clients);
}

#[test]
fn a_client_is_changed_in_place() {
    let mut store = Store::with_market();
    let mut client = client(100, &organisation(ISSUER, OrganisationKind::Issuer));
    store.put(|book, _| book.clients.put(client.id, client.clone())).unwrap();
    (client.epoch, client.revoked_at, client.secret_digest) = (4, Some(at(9)), [8; 32]);
    let wanted = Wanted { clients: [client.id].into(), ..Wanted::default() };
    store.change(&wanted, |book, _| book.clients.put(client.id, client.clone())).unwrap();
    assert_eq!(store.reader.client(client.id).unwrap(), Some(client));
}

#[test]
fn products_of_every_type_come_back() {
    let mut store = Store::with_market();
    for (number, product_type) in (100..).zip(ProductType::ALL) {
        let odd = number % 2 == 1;
        let mut product = product(number, id(ISSUER));
        product.terms.product_type = product_type;
        product.terms.ewpg = odd;
        product.terms.isin = odd.then(|| "DE000A0TGJ55".to_owned());
        product.terms.nominal_value = odd.then(|| Money::from_minor(-1, Currency::parse("JPY").unwrap()));
        product.terms.outside_review = odd;
        product.terms.strict_dates = !odd;
        product.terms.network = NetworkName::parse(if odd { "polygon" } else { "embedded" }).unwrap();
        product.terms.lock_in_until = odd.then(|| at(1));
        product.terms.issuable_units_max = Units::new(UNITS_MAX).unwrap();
        product.reserved = if odd { product.terms.issuable_units_max } else { Units::ZERO };
        product.token = if odd { Token::Deployed(address(number)) } else { Token::Deploying };
        product.freeze = odd.then(|| Freeze {
            since: at(2),
            block_number: u64::from(u32::MAX) * 9,
            difference: Difference::ALL[usize::try_from(number).unwrap() % 4],
            detail: "the ledger issued 101 units, the register delivered 100".to_owned(),
            is_release_asked: number % 4 == 1,
        });
        store.put(|book, _| book.products.put(product.id, product.clone())).unwrap();
        product.version = 1;
        assert_eq!(store.reader.product_any(product.id).unwrap(), Some(product.clone()));
        let mut wanted = Wanted { products: [product.id].into(), ..Wanted::default() };
        wanted.asset_codes.insert(product.terms.asset_code.as_str().to_owned());
        wanted.asset_codes.insert("FREE".to_owned());
        let book = store.look(&wanted);
        assert_eq!(book.products.get(&product.id), Some(&product));
        assert_eq!(book.asset_codes_taken, [product.terms.asset_code.as_str().to_owned()].into());
    }
}

#[test]
fn campaigns_and_listings_come_back() {
    let mut store = Store::with_market();
    let product = product(PRODUCT, id(ISSUER));
    let chf = Currency::parse("CHF").unwrap();
    for (number, index) in [(100, 3), (101, 4)] {
        let odd = number % 2 == 1;
        let mut campaign = campaign(number, index, &product, id(PLATFORM));
        campaign.terms.price_per_token =
            if odd { Price::from_wire("1000000000000000000", 18, chf).unwrap() } else { campaign.terms.price_per_token };
        campaign.terms.rule = if odd { Rule::MinimumInvestmentAmount(eur(50_000)) } else { Rule::PublicOffering };
        campaign.terms.legal_persons_allowed = odd;
        campaign.terms.natural_persons_allowed = !odd;
        campaign.terms.agio_percent = Percent::parse(if odd { "0.000001" } else { "100" }).unwrap();
        campaign.used = if odd { campaign.terms.allocation } else { Units::ZERO };
        campaign.investments_created = 17;
        campaign.numbers_skipped = 1_024;
        campaign.is_active = odd;
        store.put(|book, _| book.campaigns.put(campaign.id, campaign.clone())).unwrap();
        campaign.version = 1;
        let read = store.reader.campaign(Viewer::Issuer(id(ISSUER)), id(PRODUCT), campaign.id).unwrap();
        assert_eq!(read, Some(campaign.clone()));
        assert_eq!(read.unwrap().terms.agio_percent.to_string(), campaign.terms.agio_percent.to_string());
        let book = store.look(&Wanted { campaigns: [campaign.id].into(), ..Wanted::default() });
        assert_eq!(book.campaigns.get(&campaign.id), Some(&campaign));
        assert_eq!(book.products.get(&id(PRODUCT)).map(|product| product.id), Some(id(PRODUCT)), "with its product");
    }
    let key = (id(PRODUCT), id(PLATFORM));
    let book = store.look(&Wanted { listings: [key, (id(OTHER_PRODUCT), id(PLATFORM))].into(), ..Wanted::default() });
    assert_eq!(book.listings.iter().copied().collect::<Vec<_>>(), [listing(60 + PRODUCT, id(PRODUCT), id(PLATFORM))]);
}

#[test]
fn investors_wallets_and_their_secrets_come_back() {
    let mut store = Store::with_market();
    let kycs = [
        Kyc::Pending,
        Kyc::Passed { at: at(1), valid_until: None },
        Kyc::Passed { at: at(1), valid_until: Some(at(2)) },
        Kyc::Failed { at: at(3) },
    ];
    for (number, kyc) in (100..).zip(kycs) {
        let mut investor = investor(number, id(PLATFORM));
        investor.kyc = kyc;
        investor.person = if number % 2 == 0 { PersonKind::Natural } else { PersonKind::Legal };
        investor.benefiting_persons = u32::MAX;
        let mut wallet = wallet(200 + number, investor.id, id(PLATFORM));
        wallet.receiving_enabled = number % 2 == 0;
        store
            .put(|book, record| {
                book.investors.put(investor.id, investor.clone());
                book.wallets.put(wallet.id, wallet);
                record.wrapped_keys.push((investor.id, vec![1, 2, 3]));
                record.persons.push((investor.id, vec![4, 5]));
            })
            .unwrap();
        investor.version = 1;
        assert_eq!(store.reader.investor(id(PLATFORM), investor.id).unwrap(), Some(investor.clone()));
        assert_eq!(store.reader.wallet(id(PLATFORM), investor.id, wallet.id).unwrap(), Some(wallet));
        assert_eq!(store.reader.wrapped_key(investor.id).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(store.reader.person(investor.id).unwrap(), Some(vec![4, 5]));
        store.put(|_, record| record.persons.push((investor.id, vec![6]))).unwrap();
        assert_eq!(store.reader.person(investor.id).unwrap(), Some(vec![6]), "replaced");
        let wanted =
            Wanted { wallets: [wallet.id].into(), addresses: [wallet.address, address(9_999)].into(), ..Wanted::default() };
        let book = store.look(&wanted);
        assert_eq!(book.wallets.get(&wallet.id), Some(&wallet));
        assert_eq!(book.investors.get(&investor.id), Some(&investor), "with its investor");
        assert_eq!(book.wrapped_keys.get(&investor.id), Some(&vec![1, 2, 3]), "and its key");
        assert_eq!(book.addresses_taken, [(wallet.address, investor.id)].into());
    }
}

#[test]
fn documents_come_back() {
    let mut store = Store::with_market();
    for (number, content_check) in [(100, ContentCheck::Pdf), (101, ContentCheck::NotPdf)] {
        let mut document = document(number, id(PLATFORM));
        document.content_check = content_check;
        document.file_name = "../etc/\u{202e}passwd\n".to_owned();
        store.put(|book, _| book.documents.put(document.id, document.clone())).unwrap();
        let read = store.reader.document(id(PLATFORM), OrganisationKind::Distributor, document.id).unwrap();
        assert_eq!(read, Some(document.clone()));
        let book = store.look(&Wanted { documents: [document.id].into(), ..Wanted::default() });
        assert_eq!(book.documents.get(&document.id), Some(&document));
    }
}

/// Every combination of facts that can be written down.
fn every_investment() -> Vec<Investment> {
    let progresses = [
        Progress::Signed,
        Progress::Accepted { accepted: stated(11) },
        Progress::Paid { accepted: stated(12), paid: stated(13) },
        Progress::Delivered { accepted: stated(14), paid: stated(15), delivered_at: at(16) },
    ];
    let endings =
        Ending::ALL.map(|ending| Some(Ended { ending, cancellation: stated(18), refund_due: ending == Ending::Aborted }));
    let mut investments = Vec::new();
    for kyc_passed_at in [None, Some(at(10))] {
        for review in [Review::NotAsked, Review::Pending, Review::Passed(at(17))] {
            for progress in progresses {
                for ended in [None].into_iter().chain(endings) {
                    let number = 1_000 + u64::try_from(investments.len()).unwrap();
                    let odd = number % 2 == 1;
                    let mut investment = investment(number);
                    investment.facts = Facts { kyc_passed_at, review, progress, ended };
                    investment.remaining = if odd { Units::ZERO } else { investment.units };
                    let is_delivered = matches!(progress, Progress::Delivered { .. });
                    let wallet = AssignedWallet { id: id(WALLET), address: address(WALLET) };
                    investment.wallet = (odd || is_delivered).then_some(wallet);
                    investment.disagio = (number % 3 == 0).then(|| eur(25));
                    investment.payable.disagio = investment.disagio.unwrap_or(eur(0));
                    investment.payable.payment_total = eur(1_025 - investment.payable.disagio.minor());
                    investments.push(investment);
                }
            }
        }
    }
    investments
}

#[test]
fn investments_with_every_combination_of_facts_come_back() {
    let mut store = Store::with_market();
    let mut written = every_investment();
    assert_eq!(written.len(), 2 * 3 * 4 * 6);
    store.put(|book, _| written.iter().for_each(|row| book.investments.put(row.id, row.clone()))).unwrap();
    for row in &mut written {
        row.version = 1;
    }
    assert_eq!(store.reader.all_investments(None, 1_000).unwrap(), written);
    let wanted = Wanted { investments: written.iter().map(|row| row.id).collect(), ..Wanted::default() };
    let book = store.look(&wanted);
    assert_eq!(book.investments.iter().cloned().collect::<Vec<_>>(), written);
    assert_eq!(book.campaigns.iter().count(), 1);
    assert_eq!(book.products.iter().count(), 1);
    assert_eq!(book.investors.iter().count(), 1);
    assert_eq!(book.wrapped_keys.len(), 1);
    let waiting = store.look(&Wanted { investors_waiting: [id(INVESTOR)].into(), ..Wanted::default() });
    let expected: Vec<_> = written.iter().filter(|row| row.status().code() == "KYC_PENDING").map(|row| row.id).collect();
    assert_eq!(waiting.investments.iter().map(|row| row.id).collect::<Vec<_>>(), expected);
}

#[test]
fn every_combination_of_facts_can_become_every_other() {
    let mut store = Store::with_market();
    let states = every_investment();
    let first: InvestmentId = id(1_000);
    store.put(|book, _| book.investments.put(first, states[0].clone())).unwrap();
    for (version, state) in (1..).zip(states.iter().rev()) {
        let mut row = state.clone();
        (row.id, row.number, row.created_at) = (first, states[0].number, states[0].created_at);
        let wanted = Wanted { investments: [first].into(), ..Wanted::default() };
        store
            .change(&wanted, |book, _| {
                row.version = book.investments.get(&first).unwrap().version;
                book.investments.put(first, row.clone());
            })
            .unwrap();
        row.version = version + 1;
        assert_eq!(store.reader.investment(Viewer::Platform(id(PLATFORM)), first).unwrap(), Some(row));
    }
    let counted: i64 = store.shell("SELECT sum(rows) FROM investment_count").unwrap().parse().unwrap();
    assert_eq!(counted, 1);
}

#[test]
fn signed_documents_keep_the_order_of_attachment() {
    let mut store = Store::with_market();
    let mut row = investment(1_000);
    // The ids descend: neither they nor the instant tell the order.
    row.signed_documents = vec![signed_document(909, row.id, DOCUMENT, SignedDocumentType::EffectaDocument)];
    store.put(|book, _| book.investments.put(row.id, row.clone())).unwrap();
    let wanted = Wanted { investments: [row.id].into(), ..Wanted::default() };
    row.signed_documents.push(signed_document(908, row.id, DOCUMENT + 1, SignedDocumentType::EffectaCryptoregistryTos));
    row.signed_documents.push(signed_document(907, row.id, DOCUMENT, SignedDocumentType::EffectaDocument));
    row.version = 1;
    store.change(&wanted, |book, _| book.investments.put(row.id, row.clone())).unwrap();
    row.version = 2;
    assert_eq!(store.look(&wanted).investments.get(&row.id), Some(&row));
    assert_eq!(store.reader.all_investments(None, 10).unwrap(), [row.clone()]);
    let mut taken_away = row.clone();
    taken_away.signed_documents.remove(0);
    let refused = store.change(&wanted, |book, _| book.investments.put(row.id, taken_away)).unwrap_err();
    assert!(matches!(refused, crate::StoreError::Constraint(_)), "{refused}");
}

#[test]
fn credits_and_instructions_come_back_with_what_they_refer_to() {
    let mut store = Store::with_market();
    let succeeded = CreditState::Succeeded { transaction_hash: [1; 32], block_number: 5, finished_at: at(50) };
    let failed = CreditFailure::ALL.map(|failure| CreditState::Failed { failure, finished_at: at(51) });
    let states = [CreditState::Processing, succeeded].into_iter().chain(failed);
    for (number, state) in (0..).zip(states) {
        let mut investment = investment(1_000 + number);
        let credit = credit(2_000 + number, &investment, state);
        investment.latest_credit = Some(LatestCredit { id: credit.id, excludes_another: state.excludes_another() });
        let state = if number == 0 { InstructionState::Queued } else { InstructionState::Judged };
        let instruction = instruction(3_000 + number, &credit, state);
        store
            .put(|book, _| {
                book.investments.put(investment.id, investment.clone());
                book.credits.put(credit.id, credit);
                book.instructions.put(instruction.id, instruction);
            })
            .unwrap();
        let credit = domain::credit::Credit { version: 1, ..credit };
        investment.version = 1;
        assert_eq!(store.reader.credit(id(PLATFORM), investment.id, credit.id).unwrap(), Some(credit));
        for wanted in [
            Wanted { instructions: [instruction.id].into(), ..Wanted::default() },
            Wanted { credits: [credit.id].into(), ..Wanted::default() },
            Wanted { investments: [investment.id].into(), ..Wanted::default() },
        ] {
            let book = store.look(&wanted);
            assert_eq!(book.credits.get(&credit.id), Some(&credit));
            assert_eq!(book.investments.get(&investment.id), Some(&investment));
            assert!(book.campaigns.get(&id(CAMPAIGN)).is_some());
            assert!(book.wrapped_keys.contains_key(&id::<InvestorId>(INVESTOR)));
            let read = book.instructions.get(&instruction.id).copied();
            assert_eq!(read.map(|read| read.state), (!wanted.instructions.is_empty()).then_some(instruction.state));
        }
    }
}

#[test]
fn ledger_transactions_attempts_and_signers_come_back() {
    let mut store = Store::with_market();
    let signer = Signer { address: address(1), next_nonce: 3, version: 0 };
    let purposes = [
        Purpose::DeployFactory,
        Purpose::DeployToken(id(PRODUCT)),
        Purpose::Execute { product_id: id(PRODUCT), valid_until_seconds: 1_741_767_253 },
        Purpose::FillGap,
    ];
    let mut written = Vec::new();
    store
        .put(|book, record| {
            book.signers.put(signer.address, signer);
            for (nonce, purpose) in (0..).zip(purposes) {
                let row = LedgerTransaction {
                    id: id(100 + nonce),
                    signer: signer.address,
                    nonce,
                    purpose,
                    state: if nonce == 0 { LedgerTransactionState::Closed } else { LedgerTransactionState::Live },
                    created_at: at(1),
                    version: 0,
                };
                book.ledger_transactions.put(row.id, row);
                record.attempts.push(Attempt {
                    id: id(200 + nonce),
                    ledger_transaction_id: row.id,
                    raw: vec![2; 300],
                    hash: [u8::try_from(nonce).unwrap(); 32],
                    created_at: at(2),
                });
                written.push(LedgerTransaction { version: 1, ..row });
            }
        })
        .unwrap();
    let ids: Vec<LedgerTransactionId> = written.iter().map(|row| row.id).collect();
    let wanted = Wanted { ledger_transactions: ids.into_iter().collect(), signers: [signer.address].into(), ..Wanted::default() };
    let book = store.look(&wanted);
    assert_eq!(book.ledger_transactions.iter().copied().collect::<Vec<_>>(), written);
    assert_eq!(book.signers.get(&signer.address), Some(&Signer { version: 1, ..signer }));
    let live = store.reader.live_ledger_transactions().unwrap();
    assert_eq!(live.iter().map(|live| live.ledger_transaction).collect::<Vec<_>>(), written[1..]);
    assert_eq!(live[0].attempts[0].hash, [1; 32]);
    assert_eq!(live[0].attempts[0].raw, [2; 300]);
}

#[test]
fn the_journal_comes_back_with_its_hashes() {
    let mut store = Store::with_market();
    assert_eq!(store.reader.journal_head().unwrap(), Head::EMPTY);
    let mut written: Vec<StoredEntry> = Vec::new();
    for (sequence, kind) in (1..).zip(ObjectKind::ALL) {
        let entry = Entry {
            sequence,
            occurred_at: at(1),
            actor: (sequence % 2 == 0).then(|| Uuid::from_u128(5)),
            act: "create".to_owned(),
            object: Object { kind, id: Uuid::from_u128(6) },
            subject: (sequence % 3 == 0).then(|| Uuid::from_u128(7)),
            state_mac: [8; 32],
            previous_hash: written.last().map_or([0; 32], |stored| stored.hash),
        };
        store
            .put(|book, record| {
                assert_eq!(book.journal_head.sequence, sequence - 1);
                record.journal.push(entry.clone());
            })
            .unwrap();
        written.push(StoredEntry { hash: entry.hash(), entry });
    }
    assert_eq!(store.reader.journal_after(0, 100).unwrap(), written);
    assert_eq!(store.reader.journal_after(3, 2).unwrap(), written[3..5]);
    assert_eq!(store.reader.journal_after(u64::MAX, 2).unwrap(), []);
    let last = written.last().unwrap();
    assert_eq!(store.reader.journal_head().unwrap(), Head { sequence: last.entry.sequence, hash: last.hash });
}

#[test]
fn settings_and_revoked_tokens_come_back() {
    let mut store = Store::new();
    for value in [vec![1], vec![], vec![2; 1_000]] {
        let setting = Setting { name: "signing_key".into(), value: value.clone() };
        store.put(|_, record| record.settings.push(setting)).unwrap();
        assert_eq!(store.reader.setting("signing_key").unwrap(), Some(value));
    }
    assert_eq!(store.reader.setting("other").unwrap(), None);
    let token = RevokedToken { id: Uuid::from_u128(1), expires_at: at(1) };
    for _ in 0..2 {
        store.put(|_, record| record.revoked_tokens.push(token)).unwrap();
    }
    assert_eq!(store.reader.revoked_tokens().unwrap(), [token]);
}

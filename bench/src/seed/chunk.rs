//! Many acts in one command of the desk: each is the operation that the API would run, on the same book, in order.

use domain::ids::{CampaignId, InvestorId, OrganisationId, WalletId};
use domain::instant::Instant;
use domain::investor::PersonKind;
use domain::product::Inconsistent;
use domain::units::Units;
use domain::wallet::EvmAddress;
use server::operations::investment::{AbortInvestment, CreateInvestment, DocumentReference, StatedFacts};
use server::operations::investor::{CreateInvestor, KycResult, RecordKyc};
use server::operations::wallet::CreateWallet;
use server::operations::{Context, Operation, Refused};
use store::{Book, Wanted};

/// The personal data of every seeded investor; each is sealed under a key of its own all the same.
const PERSON: &[u8] = br#"{"natural_person":{"forename":"Ada","surname":"Sommer","birth_date":"1985-05-20","country":"DEU"}}"#;

/// An identified investor with a wallet.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The investor.
    pub investor_id: InvestorId,
    /// The wallet.
    pub wallet_id: WalletId,
}

/// How the identification of an arriving investor ends within the chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identification {
    /// At once, before anything is bought.
    Passed,
    /// Not yet.
    Pending,
    /// After everything was bought, with a failure.
    Failed,
}

/// An investor who signs up.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// On which platform.
    pub platform_id: OrganisationId,
    /// How identification ends.
    pub identification: Identification,
    /// The wallet's address.
    pub address: EvmAddress,
}

/// Who buys.
#[derive(Clone, Copy, Debug)]
pub enum Buyer {
    /// Somebody who is there.
    Known(Account),
    /// The arrival with this place in the chunk.
    Arriving(usize),
}

/// How far an investment gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Signed.
    Signed,
    /// Accepted by the issuer.
    Accepted,
    /// Paid, with a wallet to settle to.
    Paid,
    /// Ended by the investor.
    Aborted,
}

/// An investment to be made.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    /// The platform that sells.
    pub platform_id: OrganisationId,
    /// In which campaign.
    pub campaign_id: CampaignId,
    /// What is signed for an acceptance.
    pub papers: [DocumentReference; 2],
    /// Who buys.
    pub buyer: Buyer,
    /// How much.
    pub units: Units,
    /// How far it gets.
    pub stage: Stage,
}

/// Arrivals, then sales, then the identifications that fail. What arrived and was identified comes out.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// When it begins.
    pub begins_at: Instant,
    /// Between two sales, in microseconds.
    pub step_micros: i64,
    /// Who signs up.
    pub arrivals: Vec<Arrival>,
    /// What is sold.
    pub sales: Vec<Sale>,
}

impl Chunk {
    /// When the sale with a place happens.
    fn instant(&self, place: usize) -> Result<Instant, Inconsistent> {
        let steps = i64::try_from(place).map_err(|_| Inconsistent("chunk.sales"))?;
        self.begins_at.checked_add_micros(steps.saturating_mul(self.step_micros)).map_err(|_| Inconsistent("chunk.begins_at"))
    }

    /// When it ends: the instant of its last sale.
    pub fn ends_at(&self) -> Result<Instant, Inconsistent> {
        self.instant(self.sales.len().saturating_sub(1))
    }
}

impl Operation for Chunk {
    type Output = Vec<(OrganisationId, Account)>;

    fn want(&self, wanted: &mut Wanted) {
        for arrival in &self.arrivals {
            wanted.organisations.insert(arrival.platform_id);
            wanted.addresses.insert(arrival.address);
        }
        for sale in &self.sales {
            wanted.campaigns.insert(sale.campaign_id);
            wanted.documents.extend(sale.papers.map(|paper| paper.document_id));
            if let Buyer::Known(account) = sale.buyer {
                wanted.investors.insert(account.investor_id);
                wanted.wallets.insert(account.wallet_id);
            }
        }
    }

    /// No refusal is expected: one would leave half a chunk in the book, so that it counts as a contradiction, which the
    /// desk does not commit.
    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Self::Output, Refused> {
        self.perform(book, cx).map_err(|refused| {
            eprintln!("a seeded act was refused: {refused:?}");
            Refused::Inconsistent(Inconsistent("chunk"))
        })
    }
}

impl Chunk {
    fn perform(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Vec<(OrganisationId, Account)>, Refused> {
        cx.now = self.begins_at;
        let mut arrived = Vec::with_capacity(self.arrivals.len());
        let mut identified = Vec::with_capacity(self.arrivals.len());
        for arrival in &self.arrivals {
            let (investor_id, account) = arrive(arrival, book, cx)?;
            identified.extend(account.map(|account| (arrival.platform_id, account)));
            arrived.push((investor_id, account.map(|account| account.wallet_id)));
        }
        for (place, sale) in self.sales.iter().enumerate() {
            cx.now = self.instant(place)?;
            let (investor_id, wallet_id) = match sale.buyer {
                Buyer::Known(account) => (account.investor_id, Some(account.wallet_id)),
                Buyer::Arriving(arrival) => *arrived.get(arrival).ok_or(Inconsistent("chunk.arrivals"))?,
            };
            sell(sale, investor_id, wallet_id, book, cx)?;
        }
        for (arrival, (investor_id, _)) in self.arrivals.iter().zip(&arrived) {
            if arrival.identification == Identification::Failed {
                RecordKyc { investor_id: *investor_id, result: KycResult::Failed }.run(book, cx)?;
            }
        }
        Ok(identified)
    }
}

fn arrive(arrival: &Arrival, book: &mut Book, cx: &mut Context<'_>) -> Result<(InvestorId, Option<Account>), Refused> {
    let Arrival { platform_id, identification, address } = *arrival;
    let create =
        CreateInvestor { platform_id, person: PersonKind::Natural, personal_data: PERSON.to_vec(), benefiting_persons: 0 };
    let investor_id = create.run(book, cx)?.id;
    match identification {
        Identification::Passed => {
            RecordKyc { investor_id, result: KycResult::Passed { valid_until: None } }.run(book, cx)?;
            let wallet = CreateWallet { platform_id, investor_id, address, receiving_enabled: true }.run(book, cx)?;
            Ok((investor_id, Some(Account { investor_id, wallet_id: wallet.id })))
        }
        Identification::Pending | Identification::Failed => Ok((investor_id, None)),
    }
}

fn sell(
    sale: &Sale,
    investor_id: InvestorId,
    wallet_id: Option<WalletId>,
    book: &mut Book,
    cx: &mut Context<'_>,
) -> Result<(), Refused> {
    let now = Some(cx.now);
    let (papers, facts) = match sale.stage {
        Stage::Signed | Stage::Aborted => (&[][..], StatedFacts::default()),
        Stage::Accepted => (&sale.papers[..], StatedFacts { accepted_at: now, ..StatedFacts::default() }),
        Stage::Paid => (&sale.papers[..], StatedFacts { accepted_at: now, paid_at: now, wallet_id, ..StatedFacts::default() }),
    };
    let create = CreateInvestment {
        platform_id: sale.platform_id,
        investor_id,
        campaign_id: sale.campaign_id,
        units: sale.units,
        signed_at: cx.now,
        signed_documents: papers.to_vec(),
        facts,
    };
    let investment = create.run(book, cx)?;
    if sale.stage == Stage::Aborted {
        let abort = AbortInvestment { platform_id: sale.platform_id, investment_id: investment.id, cancellation_date: cx.now };
        abort.run(book, cx)?;
    }
    Ok(())
}

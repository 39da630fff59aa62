//! Going on from a database that is older than what this instance has done: quarantine of the ledgers, numbers that are not
//! given again, and what the ledgers know taken over.

use std::collections::BTreeMap;

use domain::credit::{Credit, CreditState};
use domain::ids::{CampaignId, CreditId, InvestmentId, ProductId};
use domain::instruction::InstructionState;
use domain::investment::{Investment, Issue, Unadoptable};
use domain::ledger_transaction::{Purpose, Signer};
use domain::network::NetworkName;
use domain::product::{Inconsistent, Product};
use domain::wallet::{EvmAddress, Wallet};
use serde::{Deserialize, Serialize};
use store::{Book, Setting, Wanted};

use super::ledger::{put_with_instruction, reserve};
use super::{Context, Operation, Refused};

/// The name under which restarts of the history are counted.
pub const HISTORY_SETTING: &str = "history";

/// Sequences of each campaign, and indexes of each product, that are passed over as soon as a restart is noticed, before
/// anything is created and before any ledger was read. More than may be lost between a backup and its restore.
pub const SKIPPED_AT_RESTART: (u64, u32) = (1 << 20, 1 << 10);

/// Sequences of a campaign that are passed over above the highest that its ledger knows (design section 8).
pub const SKIPPED_ABOVE_LEDGER: u64 = 1_024;

/// How often the database turned out to be older than what was done with it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The number of restarts so far.
    pub restarts: u64,
    /// SHA-256, in hexadecimal digits, of the note that the last restore left, where its restart was counted.
    pub restored_note: Option<String>,
}

impl History {
    /// Reads the stored form; a database that never restarted has none.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_stored(stored: Option<&[u8]>) -> Result<Self, Inconsistent> {
        stored.map_or(Ok(Self::default()), |bytes| serde_json::from_slice(bytes).map_err(|_| Inconsistent("setting.history")))
    }
}

/// A network on which nothing is signed until nothing that was forgotten can run any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// The restart of the history that it belongs to.
    pub restart: u64,
    /// The last second, of the network's block time, in which something forgotten may run.
    pub until_seconds: u64,
    /// Whether it has ended.
    pub is_over: bool,
}

impl Quarantine {
    /// The name under which a network's quarantine is remembered.
    #[must_use]
    pub fn setting(network: &NetworkName) -> String {
        format!("ledger_quarantine.{network}")
    }

    /// Reads the stored form; `None` where there never was one.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_stored(stored: Option<&[u8]>) -> Result<Option<Self>, Inconsistent> {
        stored.map(|bytes| serde_json::from_slice(bytes).map_err(|_| Inconsistent("setting.ledger_quarantine"))).transpose()
    }
}

fn setting(name: String, value: &impl Serialize) -> Setting {
    // Numbers and text: nothing that JSON could refuse.
    Setting { name: name.into(), value: serde_json::to_vec(value).unwrap_or_default() }
}

/// Counts a restart of the history.
#[derive(Clone, Debug)]
pub struct RestartHistory {
    /// What is remembered from now on.
    pub history: History,
}

impl Operation for RestartHistory {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        cx.record.settings.push(setting(HISTORY_SETTING.to_owned(), &self.history));
        Ok(())
    }
}

/// Begins, changes or ends a network's quarantine.
#[derive(Clone, Debug)]
pub struct PutQuarantine {
    /// The network.
    pub network: NetworkName,
    /// What is remembered from now on.
    pub quarantine: Quarantine,
}

impl Operation for PutQuarantine {
    type Output = ();

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, _book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        cx.record.settings.push(setting(Quarantine::setting(&self.network), &self.quarantine));
        Ok(())
    }
}

/// Passes numbers over that a lost history may have used.
#[derive(Clone, Debug, Default)]
pub struct SkipNumbers {
    /// For each campaign, the sequence above which it goes on.
    pub campaigns: BTreeMap<CampaignId, u64>,
    /// For each product, the campaign index above which it goes on.
    pub products: BTreeMap<ProductId, u32>,
}

impl Operation for SkipNumbers {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.campaigns.extend(self.campaigns.keys());
        wanted.products.extend(self.products.keys());
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        for (id, sequence) in &self.campaigns {
            let mut campaign = book.campaigns.get(id).ok_or(Refused::NotFound)?.clone();
            if campaign.skip_numbers_to(*sequence) {
                cx.journal(book, "skip_numbers", &campaign)?;
                book.campaigns.put(*id, campaign);
            }
        }
        for (id, index) in &self.products {
            let mut product = book.products.get(id).ok_or(Refused::NotFound)?.clone();
            if product.skip_campaign_indexes_to(*index) {
                cx.journal(book, "skip_numbers", &product)?;
                book.products.put(*id, product);
            }
        }
        Ok(())
    }
}

/// Takes over what the ledger has used of a signer's nonces. Those that wait unused below the next one get slots of their
/// own, so that they are filled and block nothing.
#[derive(Clone, Copy, Debug)]
pub struct AdvanceNonce {
    /// Whose nonces.
    pub signer: EvmAddress,
    /// The first that no block has used.
    pub unused: u64,
    /// The first that no pool holds.
    pub free: u64,
}

impl Operation for AdvanceNonce {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.signers.insert(self.signer);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        let unknown = Signer { address: self.signer, next_nonce: 0, version: 0 };
        let signer = book.signers.get(&self.signer).copied().unwrap_or(unknown);
        if signer.next_nonce < self.unused {
            book.signers.put(self.signer, Signer { next_nonce: self.unused, ..signer });
        }
        for _nonce in signer.next_nonce.max(self.unused)..self.free {
            reserve(self.signer, Purpose::FillGap, book, cx);
        }
        Ok(())
    }
}

/// An issue of the ledger with what of the register belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundIssue {
    /// The issue.
    pub issue: Issue,
    /// The wallet with its address, where there is one.
    pub wallet: Option<Wallet>,
    /// The campaign with the index of its number, where there is one.
    pub campaign_id: Option<CampaignId>,
}

/// What became of an issue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adoption {
    /// The register knew it, or will by the judge's word.
    Known,
    /// It is in the register now.
    Adopted,
    /// It cannot be.
    Impossible(Unadoptable),
}

/// Takes issues of a product over that the register does not know: the investment is delivered, and was credited.
#[derive(Clone, Debug)]
pub struct AdoptIssues {
    /// The product.
    pub product_id: ProductId,
    /// The issues, in order of the ledger.
    pub issues: Vec<FoundIssue>,
}

impl Operation for AdoptIssues {
    /// One answer for each issue.
    type Output = Vec<(InvestmentId, Adoption)>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
        for found in &self.issues {
            wanted.investments.insert(found.issue.investment_id);
            wanted.wallets.extend(found.wallet.map(|wallet| wallet.id));
            wanted.investors.extend(found.wallet.map(|wallet| wallet.investor_id));
            wanted.campaigns.extend(found.campaign_id);
        }
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Self::Output, Refused> {
        let mut adoptions = Vec::with_capacity(self.issues.len());
        for found in &self.issues {
            let adoption = match delivered_by(self.product_id, found, book, cx)? {
                Ok(None) => Adoption::Known,
                Ok(Some(investment)) => {
                    adopt(&investment, &found.issue, book, cx)?;
                    Adoption::Adopted
                }
                Err(reason) => Adoption::Impossible(reason),
            };
            adoptions.push((found.issue.investment_id, adoption));
        }
        Ok(adoptions)
    }
}

/// The investment as the issue has it; `Ok(Ok(None))` where nothing is to be done.
fn delivered_by(
    product_id: ProductId,
    found: &FoundIssue,
    book: &mut Book,
    cx: &mut Context<'_>,
) -> Result<Result<Option<Investment>, Unadoptable>, Inconsistent> {
    let issue = &found.issue;
    let product = book.products.get(&product_id).ok_or(Inconsistent("product"))?.clone();
    let credit_id: CreditId = cx.entropy.id(cx.now);
    if let Some(known) = book.investments.get(&issue.investment_id) {
        let campaign = book.campaigns.get(&known.campaign_id).ok_or(Inconsistent("investment.campaign_id"))?;
        return Ok(known.adopted(issue, found.wallet.as_ref(), credit_id, (campaign, &product), cx.now));
    }
    Ok(found_again(found, product, credit_id, book, cx))
}

/// An investment that was lost whole. Its units are taken from its campaign.
fn found_again(
    found: &FoundIssue,
    mut product: Product,
    credit_id: CreditId,
    book: &mut Book,
    cx: &mut Context<'_>,
) -> Result<Option<Investment>, Unadoptable> {
    let issue = &found.issue;
    let wallet = found.wallet.as_ref().ok_or(Unadoptable::UnknownWallet)?;
    let investor = book.investors.get(&wallet.investor_id).ok_or(Unadoptable::UnknownWallet)?;
    let campaign = found.campaign_id.and_then(|id| book.campaigns.get(&id)).ok_or(Unadoptable::UnknownCampaign)?;
    let (_, sequence) = issue.number.parts();
    let lost = Investment::lost(issue, (investor, wallet), credit_id, (campaign, &product), cx.now)?;
    let mut campaign = campaign.clone();
    let reserved = product.reserved;
    campaign.take_back(&mut product, issue.units, sequence).map_err(Unadoptable::Rule)?;
    if product.reserved != reserved {
        cx.journal(book, "adopt", &product).map_err(|_| Unadoptable::UnknownCampaign)?;
        book.products.put(product.id, product);
    }
    cx.journal(book, "adopt", &campaign).map_err(|_| Unadoptable::UnknownCampaign)?;
    book.campaigns.put(campaign.id, campaign);
    Ok(Some(lost))
}

/// Writes an adopted investment with its credit and instruction.
fn adopt(investment: &Investment, issue: &Issue, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Inconsistent> {
    let latest = investment.latest_credit.ok_or(Inconsistent("investment.latest_credit"))?;
    let state = CreditState::Succeeded {
        transaction_hash: issue.transaction_hash,
        block_number: issue.block_number,
        finished_at: cx.now,
    };
    let credit = Credit {
        id: latest.id,
        investment_id: investment.id,
        product_id: investment.product_id,
        platform_id: investment.platform_id,
        investor_id: investment.investor_id,
        number: issue.number,
        units: investment.units,
        address: issue.account,
        state,
        created_at: cx.now,
        version: 0,
    };
    cx.journal(book, "adopt", investment)?;
    cx.journal(book, "adopt", &credit)?;
    book.investments.put(investment.id, investment.clone());
    put_with_instruction(&credit, InstructionState::Judged, book, cx);
    Ok(())
}

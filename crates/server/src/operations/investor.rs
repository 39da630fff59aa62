//! Investor accounts, and what identification found out.

use domain::ids::{InvestorId, OrganisationId};
use domain::instant::Instant;
use domain::investment::Status;
use domain::investor::{Investor, Kyc, PersonKind};
use domain::journal::SubjectKey;
use domain::organisation::OrganisationKind;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};
use crate::keyring;

/// Creates an investor account. Its personal data is sealed under a key of its own before it is stored.
#[derive(Clone, Debug)]
pub struct CreateInvestor {
    /// The platform it belongs to.
    pub platform_id: OrganisationId,
    /// Person or company.
    pub person: PersonKind,
    /// The personal data, as the JSON document that reading gives back.
    pub personal_data: Vec<u8>,
    /// Benefiting persons named.
    pub benefiting_persons: u32,
}

impl Operation for CreateInvestor {
    type Output = Investor;

    fn want(&self, wanted: &mut Wanted) {
        wanted.organisations.insert(self.platform_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Investor, Refused> {
        let platform = book.organisations.get(&self.platform_id).filter(|o| o.kind == OrganisationKind::Distributor);
        platform.ok_or(Refused::NotFound)?;
        let id: InvestorId = cx.entropy.id(cx.now);
        let investor = Investor {
            id,
            platform_id: self.platform_id,
            person: self.person,
            kyc: Kyc::Pending,
            benefiting_persons: self.benefiting_persons,
            created_at: cx.now,
            version: 0,
        };
        let key = SubjectKey(cx.entropy.bytes());
        let wrapped = cx.keyring.wrap(id, &key, cx.entropy);
        let sealed = keyring::seal(&key.0, &id.bytes(), &self.personal_data, cx.entropy);
        cx.subject_keys.insert(id, key);
        cx.journal(book, "create_investor", &investor)?;
        cx.record.wrapped_keys.push((id, wrapped.clone()));
        cx.record.persons.push((id, sealed));
        book.wrapped_keys.insert(id, wrapped);
        book.investors.put(id, investor.clone());
        Ok(investor)
    }
}

/// What identification found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KycResult {
    /// Identified, until an instant where the result lapses.
    Passed {
        /// When it lapses.
        valid_until: Option<Instant>,
    },
    /// Could not be identified.
    Failed,
}

/// Records what identification found out, and moves the investments that waited for it.
#[derive(Clone, Copy, Debug)]
pub struct RecordKyc {
    /// The investor.
    pub investor_id: InvestorId,
    /// The result.
    pub result: KycResult,
}

impl Operation for RecordKyc {
    type Output = Investor;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investors.insert(self.investor_id);
        wanted.investors_waiting.insert(self.investor_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Investor, Refused> {
        let mut investor = book.investors.get(&self.investor_id).ok_or(Refused::NotFound)?.clone();
        investor.kyc = match self.result {
            KycResult::Passed { valid_until } => Kyc::Passed { at: cx.now, valid_until },
            KycResult::Failed => Kyc::Failed { at: cx.now },
        };
        cx.journal(book, "record_kyc", &investor)?;
        let is_cleared = investor.cleared_at(cx.now).is_some();
        let waiting: Vec<_> = book
            .investments
            .iter()
            .filter(|investment| investment.investor_id == investor.id && investment.status() == Status::KycPending)
            .cloned()
            .collect();
        book.investors.put(investor.id, investor.clone());
        for investment in waiting {
            match self.result {
                KycResult::Passed { .. } if is_cleared => {
                    let next = investment.kyc_passed(cx.now)?;
                    cx.journal(book, "pass_kyc", &next)?;
                    book.investments.put(next.id, next);
                }
                // A company without a benefiting person goes on waiting.
                KycResult::Passed { .. } => {}
                KycResult::Failed => {
                    let next = investment.kyc_failed(cx.now)?;
                    super::investment::give_units_back(book, cx, &next)?;
                    cx.journal(book, "fail_kyc", &next)?;
                    book.investments.put(next.id, next);
                }
            }
        }
        Ok(investor)
    }

    fn subject(&self, _book: &Book) -> Option<InvestorId> {
        Some(self.investor_id)
    }
}

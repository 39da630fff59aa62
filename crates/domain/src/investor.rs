//! Investor accounts. Personal data is not here: it is sealed under the investor's own key and opened only to be shown.

use crate::ids::{InvestorId, OrganisationId};
use crate::instant::Instant;

/// Whether an investor is a person or a company.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PersonKind {
    /// A human being.
    Natural,
    /// A company.
    Legal,
}

impl PersonKind {
    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Natural => "natural_person",
            Self::Legal => "legal_person",
        }
    }
}

/// What is known about an investor's identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kyc {
    /// Identification has not ended.
    Pending,
    /// Identified; the result holds until `valid_until`, where it ends at all.
    Passed {
        /// When the result was recorded.
        at: Instant,
        /// When it lapses.
        valid_until: Option<Instant>,
    },
    /// Could not be identified.
    Failed {
        /// When the result was recorded.
        at: Instant,
    },
}

impl Kyc {
    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Passed { .. } => "SUCCESS",
            Self::Failed { .. } => "REJECTED",
        }
    }
}

/// An investor account of one distribution platform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Investor {
    /// Its id.
    pub id: InvestorId,
    /// The platform it belongs to.
    pub platform_id: OrganisationId,
    /// Person or company.
    pub person: PersonKind,
    /// What is known about its identity.
    pub kyc: Kyc,
    /// Benefiting persons named so far; a company needs at least one before its investments leave `KYC_PENDING`.
    pub benefiting_persons: u32,
    /// When it was created.
    pub created_at: Instant,
    /// Raised by every change of the row.
    pub version: u64,
}

impl Investor {
    /// Since when the investor may invest without waiting for KYC: identified, not lapsed, and for a company with a
    /// benefiting person. `None` while anything is open.
    #[must_use]
    pub fn cleared_at(&self, now: Instant) -> Option<Instant> {
        let passed_at = match self.kyc {
            Kyc::Pending | Kyc::Failed { .. } => None,
            Kyc::Passed { at, valid_until } => valid_until.is_none_or(|until| now < until).then_some(at),
        };
        match self.person {
            PersonKind::Natural => passed_at,
            PersonKind::Legal => passed_at.filter(|_| self.benefiting_persons > 0),
        }
    }
}

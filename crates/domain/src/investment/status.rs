//! Facts come first: the status follows from them, and what is open follows from the status.

use crate::instant::Instant;

/// The API's status code of an investment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Status {
    /// Signed; identification, or a company's benefiting person, is open.
    KycPending,
    /// An outside review is open.
    ReviewPending,
    /// The issuer may accept.
    WaitingForAcceptance,
    /// The issuer accepted.
    Accepted,
    /// The amount is marked as paid.
    Paid,
    /// The units are in the wallet.
    Delivered,
    /// Ended: identification failed or took too long.
    KycInsufficient,
    /// Ended by the investor before acceptance.
    Aborted,
    /// Ended by the issuer.
    Rejection,
    /// Ended by the investor's withdrawal.
    Cancellation,
    /// Ended: the payment did not come in time.
    PaymentMissing,
}

impl Status {
    /// Every status, in the order of an investment's life.
    pub const ALL: [Self; 11] = [
        Self::KycPending,
        Self::ReviewPending,
        Self::WaitingForAcceptance,
        Self::Accepted,
        Self::Paid,
        Self::Delivered,
        Self::KycInsufficient,
        Self::Aborted,
        Self::Rejection,
        Self::Cancellation,
        Self::PaymentMissing,
    ];

    /// The code on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::KycPending => "KYC_PENDING",
            Self::ReviewPending => "REVIEW_PENDING",
            Self::WaitingForAcceptance => "WAITING_FOR_ACCEPTANCE",
            Self::Accepted => "ACCEPTED",
            Self::Paid => "PAID",
            Self::Delivered => "DELIVERED",
            Self::KycInsufficient => "KYC_INSUFFICIENT",
            Self::Aborted => "ABORTED",
            Self::Rejection => "REJECTION",
            Self::Cancellation => "CANCELLATION",
            Self::PaymentMissing => "PAYMENT_MISSING",
        }
    }

    /// The status a code names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// A business verb on an investment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Act {
    /// Attach a signed document.
    AttachDocument,
    /// Set or change the wallet.
    SetWallet,
    /// State the discount.
    SetDisagio,
    /// Mark as accepted by the issuer.
    Accept,
    /// Mark as paid.
    MarkPaid,
    /// Order the units to be issued to the wallet.
    Credit,
    /// End it for the investor before acceptance.
    Abort,
    /// End it for the issuer.
    Reject,
    /// End it because the payment did not come.
    EndUnpaid,
    /// End it for the investor after acceptance.
    Withdraw,
    /// Record that identification succeeded.
    PassKyc,
    /// Record that identification failed or took too long.
    FailKyc,
    /// Record that the outside review succeeded.
    PassReview,
    /// Record that the outside review failed.
    FailReview,
}

/// Who may do an act.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Party {
    /// The distribution platform, over its API.
    Distributor,
    /// The issuer's staff.
    Issuer,
    /// The registrar and its background work.
    Registrar,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 14] = [
        Self::AttachDocument,
        Self::SetWallet,
        Self::SetDisagio,
        Self::Accept,
        Self::MarkPaid,
        Self::Credit,
        Self::Abort,
        Self::Reject,
        Self::EndUnpaid,
        Self::Withdraw,
        Self::PassKyc,
        Self::FailKyc,
        Self::PassReview,
        Self::FailReview,
    ];

    /// The word on the wire and in the journal.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AttachDocument => "attach_document",
            Self::SetWallet => "set_wallet",
            Self::SetDisagio => "set_disagio",
            Self::Accept => "accept",
            Self::MarkPaid => "mark_paid",
            Self::Credit => "credit",
            Self::Abort => "abort",
            Self::Reject => "reject",
            Self::EndUnpaid => "end_unpaid",
            Self::Withdraw => "withdraw",
            Self::PassKyc => "pass_kyc",
            Self::FailKyc => "fail_kyc",
            Self::PassReview => "pass_review",
            Self::FailReview => "fail_review",
        }
    }

    /// Who may do it.
    #[must_use]
    pub const fn parties(self) -> &'static [Party] {
        match self {
            Self::AttachDocument | Self::SetWallet | Self::SetDisagio | Self::Credit | Self::Abort => &[Party::Distributor],
            Self::Accept | Self::MarkPaid => &[Party::Distributor, Party::Issuer],
            Self::Reject | Self::EndUnpaid | Self::Withdraw => &[Party::Issuer],
            Self::PassKyc | Self::FailKyc | Self::PassReview | Self::FailReview => &[Party::Registrar],
        }
    }
}

/// The acts that a status leaves open. This is the only table of what is allowed when.
#[must_use]
pub const fn open_acts(status: Status) -> &'static [Act] {
    match status {
        Status::KycPending => &[
            Act::AttachDocument,
            Act::SetWallet,
            Act::SetDisagio,
            Act::Accept,
            Act::MarkPaid,
            Act::Abort,
            Act::PassKyc,
            Act::FailKyc,
        ],
        Status::ReviewPending => {
            &[Act::AttachDocument, Act::SetWallet, Act::SetDisagio, Act::Accept, Act::MarkPaid, Act::PassReview, Act::FailReview]
        }
        Status::WaitingForAcceptance => {
            &[Act::AttachDocument, Act::SetWallet, Act::SetDisagio, Act::Accept, Act::Abort, Act::Reject]
        }
        Status::Accepted => &[Act::AttachDocument, Act::SetWallet, Act::MarkPaid, Act::EndUnpaid, Act::Withdraw],
        Status::Paid => &[Act::AttachDocument, Act::SetWallet, Act::Credit, Act::Withdraw],
        Status::Delivered => &[Act::Withdraw],
        Status::KycInsufficient | Status::Aborted | Status::Rejection | Status::Cancellation | Status::PaymentMissing => &[],
    }
}

/// Whether a status leaves an act open.
#[must_use]
pub fn may(status: Status, act: Act) -> bool {
    open_acts(status).contains(&act)
}

/// A date that somebody stated, and when the server received it. The register's order is that of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stated {
    /// As stated.
    pub at: Instant,
    /// By the server's clock.
    pub received_at: Instant,
}

/// How far the purchase has come. A later stage carries the facts of the earlier ones, so paid without accepted and
/// delivered without paid cannot be written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Signed, no more.
    Signed,
    /// Accepted by the issuer.
    Accepted {
        /// The acceptance.
        accepted: Stated,
    },
    /// Accepted and paid.
    Paid {
        /// The acceptance.
        accepted: Stated,
        /// The payment.
        paid: Stated,
    },
    /// Accepted, paid and credited.
    Delivered {
        /// The acceptance.
        accepted: Stated,
        /// The payment.
        paid: Stated,
        /// When the verdict was recorded.
        delivered_at: Instant,
    },
}

impl Progress {
    /// The acceptance, where there is one.
    #[must_use]
    pub const fn accepted(&self) -> Option<Stated> {
        match *self {
            Self::Signed => None,
            Self::Accepted { accepted } | Self::Paid { accepted, .. } | Self::Delivered { accepted, .. } => Some(accepted),
        }
    }

    /// The payment, where there is one.
    #[must_use]
    pub const fn paid(&self) -> Option<Stated> {
        match *self {
            Self::Signed | Self::Accepted { .. } => None,
            Self::Paid { paid, .. } | Self::Delivered { paid, .. } => Some(paid),
        }
    }

    /// When the units were delivered, where they were.
    #[must_use]
    pub const fn delivered_at(&self) -> Option<Instant> {
        match *self {
            Self::Signed | Self::Accepted { .. } | Self::Paid { .. } => None,
            Self::Delivered { delivered_at, .. } => Some(delivered_at),
        }
    }
}

/// Whether an outside review is asked for, and how it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Review {
    /// The product asks for none.
    NotAsked,
    /// Open.
    Pending,
    /// Succeeded.
    Passed(Instant),
}

/// How an investment ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// Identification or review failed or took too long.
    KycInsufficient,
    /// The investor aborted before acceptance.
    Aborted,
    /// The issuer rejected.
    Rejected,
    /// The investor withdrew.
    Withdrawn,
    /// The payment did not come.
    PaymentMissing,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Self; 5] = [Self::KycInsufficient, Self::Aborted, Self::Rejected, Self::Withdrawn, Self::PaymentMissing];

    /// The word in storage, and the `cancellation_reason` on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::KycInsufficient => "kyc_insufficient",
            Self::Aborted => "aborted_by_investor",
            Self::Rejected => "rejected_by_issuer",
            Self::Withdrawn => "withdrawn_by_investor",
            Self::PaymentMissing => "payment_missing",
        }
    }

    /// The ending a code names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.code() == code)
    }
}

/// The end of an investment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// The date that was stated, and when it was received.
    pub cancellation: Stated,
    /// Whether money was paid that must go back.
    pub refund_due: bool,
}

/// Everything that decides the status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// When the investor was found identified; `None` while that is open.
    pub kyc_passed_at: Option<Instant>,
    /// The outside review.
    pub review: Review,
    /// How far the purchase has come.
    pub progress: Progress,
    /// The end, once it has come.
    pub ended: Option<Ended>,
}

/// The status that the facts amount to.
#[must_use]
pub const fn status(facts: &Facts) -> Status {
    if let Some(ended) = &facts.ended {
        return match ended.ending {
            Ending::KycInsufficient => Status::KycInsufficient,
            Ending::Aborted => Status::Aborted,
            Ending::Rejected => Status::Rejection,
            Ending::Withdrawn => Status::Cancellation,
            Ending::PaymentMissing => Status::PaymentMissing,
        };
    }
    match (facts.progress, facts.kyc_passed_at, facts.review) {
        (Progress::Delivered { .. }, _, _) => Status::Delivered,
        (Progress::Signed | Progress::Accepted { .. } | Progress::Paid { .. }, None, _) => Status::KycPending,
        (Progress::Signed | Progress::Accepted { .. } | Progress::Paid { .. }, Some(_), Review::Pending) => Status::ReviewPending,
        (Progress::Signed, Some(_), Review::NotAsked | Review::Passed(_)) => Status::WaitingForAcceptance,
        (Progress::Accepted { .. }, Some(_), Review::NotAsked | Review::Passed(_)) => Status::Accepted,
        (Progress::Paid { .. }, Some(_), Review::NotAsked | Review::Passed(_)) => Status::Paid,
    }
}

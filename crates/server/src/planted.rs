//! Bugs that are planted on purpose, so that the harnesses that hunt such bugs can show that they catch them.
//!
//! They exist only with the feature `planted`, and act only when the environment variable `SCRIP_PLANTED` names one.
//! Without the feature the question is a constant "no". `./check planted` runs each harness against its bug and wants it
//! to fail.

/// A planted bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A platform's investment is found whoever asks: the access test must see it.
    ForeignInvestment,
    /// A document that somebody has is looked for once more before it is not found: the timing test must see it.
    ForeignDocumentSoughtTwice,
    /// An answer is not remembered with its effect: the idempotency test must see it.
    ForgottenAnswer,
    /// Every seventh batch is answered although it was not committed: the kill test must see it.
    AnswerWithoutCommit,
    /// Stored bytes are not sent again after a crash: the kill test must see it.
    NothingSentAgain,
    /// The judge is asked about the newest block as if it were final: the simulator must see it.
    JudgedAtInclusion,
    /// What was signed counts as expired at once: the simulator must see it.
    TimeOutFails,
    /// Signed bytes are sent before they are committed: the simulator must see it.
    SentBeforeStored,
    /// The units left are read once a batch and not counted down within it: the oversell test must see it.
    ReadThenInsert,
    /// The fencing number of a record is not compared: the lane test must see it.
    StaleFencing,
    /// As many requests wait as come: the overload test must see it.
    NoQueueBound,
    /// Answers are sent before the commit: the kills under load must see it.
    AnswerBeforeCommit,
    /// The remembered answer is stored in a commit of its own, after the effect: the kills under load must see it.
    KeyOutsideCommit,
    /// A batch whose commit was not answered is run again as another batch: the cut commit must see it.
    BlindRerun,
    /// The units that a dry run would take are taken: the test of dry runs must see it.
    DryRunTakesUnits,
    /// A backup's blocks are those of the moment in which they are copied, not of its rows: the drill under load must see it.
    BackupOfTwoMoments,
    /// What a restore forgot counts as impossible at once: the restore of an older database must see it.
    NoQuarantine,
    /// Register and ledger are not compared: the test of a foreign issue must see it.
    NothingReconciled,
    /// A webhook counts as delivered before it is sent: the kill after it was sent must see it.
    MarkedBeforeSent,
}

impl Bug {
    /// The name in `SCRIP_PLANTED`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForeignInvestment => "foreign_investment",
            Self::ForeignDocumentSoughtTwice => "foreign_document_sought_twice",
            Self::ForgottenAnswer => "forgotten_answer",
            Self::AnswerWithoutCommit => "answer_without_commit",
            Self::NothingSentAgain => "nothing_sent_again",
            Self::JudgedAtInclusion => "judged_at_inclusion",
            Self::TimeOutFails => "time_out_fails",
            Self::SentBeforeStored => "sent_before_stored",
            Self::ReadThenInsert => "read_then_insert",
            Self::StaleFencing => "stale_fencing",
            Self::NoQueueBound => "no_queue_bound",
            Self::AnswerBeforeCommit => "answer_before_commit",
            Self::KeyOutsideCommit => "key_outside_commit",
            Self::BlindRerun => "blind_rerun",
            Self::DryRunTakesUnits => "dry_run_takes_units",
            Self::BackupOfTwoMoments => "backup_of_two_moments",
            Self::NoQuarantine => "no_quarantine",
            Self::NothingReconciled => "nothing_reconciled",
            Self::MarkedBeforeSent => "marked_before_sent",
        }
    }

    /// Whether the bug acts.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn is_planted(self) -> bool {
        std::env::var("SCRIP_PLANTED").is_ok_and(|name| name == self.name())
    }

    /// Whether the bug acts.
    #[cfg(not(feature = "planted"))]
    #[must_use]
    pub const fn is_planted(self) -> bool {
        false
    }
}

//! Tables that hold one day each and are dropped whole: remembered answers and the ids of batches. Looked up are the
//! day of the batch and the day before, so that an answer is kept for at least 24 hours.

/// What a day table holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Remembered answers.
    Answer,
    /// Ids of committed batches.
    Batch,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Answer, Self::Batch];

    /// What failures call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Batch => "batch",
        }
    }

    /// What the names of its tables begin with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Answer => "answer_",
            Self::Batch => "batch_",
        }
    }

    /// The table of a day. Days before 1970 do not occur, but would have a name too.
    pub(crate) fn table(self, day: i64) -> String {
        let sign = if day < 0 { "m" } else { "" };
        format!("{}{sign}{}", self.prefix(), day.unsigned_abs())
    }

    /// The day of a table.
    pub(crate) fn day_of(self, table: &str) -> Option<i64> {
        let digits = table.strip_prefix(self.prefix())?;
        match digits.strip_prefix('m') {
            Some(digits) => digits.parse().ok().and_then(i64::checked_neg),
            None => digits.parse().ok(),
        }
    }

    /// What a table holds, and of which day, where it is a day's.
    pub(crate) fn of_table(table: &str) -> Option<(Self, i64)> {
        Self::ALL.into_iter().find_map(|kind| Some((kind, kind.day_of(table)?)))
    }

    /// Whether a day is over and its table to be dropped when another day begins.
    pub(crate) const fn is_over(day: i64, begun: i64) -> bool {
        day < begun.saturating_sub(1)
    }
}

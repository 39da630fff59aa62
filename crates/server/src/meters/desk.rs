//! What the desk counts and measures.

use metrics::{Counter, Histogram};

use super::Registry;

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was decided and done.
    Done,
    /// The rules refused it.
    Refused,
    /// A remembered answer was given again.
    Replayed,
    /// Its key belongs to another request.
    KeyReused,
    /// The database took no writes.
    Unavailable,
    /// Something is broken.
    Failed,
}

impl Outcome {
    /// Every outcome, in the order of their counters.
    const ALL: [Self; 6] = [Self::Done, Self::Refused, Self::Replayed, Self::KeyReused, Self::Unavailable, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Replayed => "replayed",
            Self::KeyReused => "key_reused",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// The desk's handles. Clones count together.
#[derive(Clone, Debug)]
pub struct DeskMeters {
    /// Commands of each committed batch.
    pub batch_commands: Histogram,
    /// Time to load a batch's rows.
    pub load: Histogram,
    /// Time to decide a batch.
    pub decide: Histogram,
    /// Time to write and commit a batch.
    pub commit: Histogram,
    /// Batches cut in two.
    pub halvings: Counter,
    /// Batches tried again whole.
    pub retries: Counter,
    /// Commits that were not answered.
    pub commits_in_doubt: Counter,
    /// Requests refused because too many wait.
    pub overloads: Counter,
    /// Commands that panicked.
    pub panics: Counter,
    outcomes: [Counter; 6],
}

impl DeskMeters {
    pub(super) fn register(registry: &Registry) -> Self {
        let step = |step| {
            let help = "Time of one batch in one step of the desk.";
            registry.histogram("scrip_desk_step_seconds", help, &[("step", step)])
        };
        let outcome = |outcome: Outcome| {
            let help = "Commands answered, by what became of them.";
            registry.counter("scrip_desk_commands_total", help, &[("outcome", outcome.label())])
        };
        Self {
            batch_commands: registry.histogram("scrip_desk_batch_commands", "Commands of each committed batch.", &[]),
            load: step("load"),
            decide: step("decide"),
            commit: step("commit"),
            halvings: registry.counter("scrip_desk_halvings_total", "Batches cut in two after an error of the database.", &[]),
            retries: registry.counter("scrip_desk_retries_total", "Batches tried again whole: busy, deadlock, conflict.", &[]),
            commits_in_doubt: registry.counter(
                "scrip_desk_commits_in_doubt_total",
                "Commits whose answer was lost; each is settled by its batch id.",
                &[],
            ),
            overloads: registry.counter("scrip_desk_overloads_total", "Requests refused because the queue was full.", &[]),
            panics: super::tasks::panics(registry, super::PanicPlace::Command),
            outcomes: Outcome::ALL.map(outcome),
        }
    }

    /// Handles that count nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            batch_commands: Histogram::noop(),
            load: Histogram::noop(),
            decide: Histogram::noop(),
            commit: Histogram::noop(),
            halvings: Counter::noop(),
            retries: Counter::noop(),
            commits_in_doubt: Counter::noop(),
            overloads: Counter::noop(),
            panics: Counter::noop(),
            outcomes: Outcome::ALL.map(|_| Counter::noop()),
        }
    }

    /// Counts one command.
    pub fn answered(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
    }
}

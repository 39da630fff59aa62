//! What must hold in every state (`reliability` rules E1 to E6), and that everything comes to an end.

use crate::chain::{Outcome, View};
use crate::database::{Credit, INVESTMENTS};
use crate::evidence::Said;
use crate::machine::Machine;
use crate::state::{Action, Left, State, Step};

/// E1: an investment's order takes effect at most once, on every branch.
#[must_use]
pub fn is_issued_once(state: &State) -> bool {
    (0_u8..).take(INVESTMENTS).all(|investment| state.chain.times_applied(investment, View::Head) <= 1)
}

/// E2: nothing that was signed for a credit before it failed takes effect any more.
#[must_use]
pub fn is_failure_the_end(state: &State) -> bool {
    let applied = state.chain.records(View::Head).filter(|record| record.outcome == Outcome::Applied);
    applied.into_iter().all(|record| state.observed.dead & (1 << record.item.credit) == 0)
}

/// E3: what was delivered stays so, on the ledger and in the database. A database that was taken back may have to learn it
/// from the ledger again: that it does so is E5's.
#[must_use]
pub fn is_delivery_kept(state: &State) -> bool {
    (0_u8..).zip(state.database.investments).all(|(investment, row)| {
        let is_delivered = state.observed.delivered & (1 << investment) != 0;
        let is_kept = state.database.is_restored || row.is_some_and(|row| row.credit == Credit::Succeeded);
        !is_delivered || (is_kept && state.chain.times_applied(investment, View::Finalized) == 1)
    })
}

/// E6: what takes effect does so in the order of instruction.
#[must_use]
pub fn is_in_order(state: &State) -> bool {
    let applied = state.chain.records(View::Head).filter(|record| record.outcome == Outcome::Applied);
    applied.map(|record| record.item.credit).is_sorted()
}

/// A nonce is signed for one call only, as long as the database is not taken back.
#[must_use]
pub fn is_nonce_unambiguous(state: &State) -> bool {
    let reserved = state.database.slots.iter().map(|slot| slot.transaction);
    let mut known: Vec<_> = state.chain.broadcast.iter().copied().chain(reserved).collect();
    known.sort_unstable();
    known.dedup();
    state.database.is_restored || known.windows(2).all(|pair| pair[0].nonce != pair[1].nonce)
}

/// An investment's number is never found under another's order.
#[must_use]
pub fn has_no_incident(state: &State) -> bool {
    !state.observed.has_incident
}

impl Machine {
    /// E4 and E5: once faults end and time passes, every credit ends by itself within the validity, the quarantine and the
    /// finality lag, and the register then says what the ledger says. Whatever waits in the network may run or not.
    #[must_use]
    pub fn comes_to_rest(&self, state: &State) -> bool {
        let reserved = |transaction| state.database.slots.iter().any(|slot| slot.transaction == transaction);
        let is_forgotten_nothing = state.chain.includable().all(reserved);
        self.heals(state, false) && (is_forgotten_nothing && !state.database.is_restored || self.heals(state, true))
    }

    fn heals(&self, state: &State, forgotten_run_first: bool) -> bool {
        let mut state = State {
            now: state.now,
            chain: state.chain.clone(),
            database: state.database.clone(),
            backup: None,
            workers: [Step::Idle; 2],
            left: Left { refusals: 0, ..state.left },
            observed: state.observed,
        };
        for _time in 0..=self.rest_within() {
            self.work_off(&mut state);
            if state.database.each().all(|(_, row)| row.credit.processing().is_none()) {
                return agrees(&state);
            }
            state.now += 1;
            self.run_waiting(&mut state, forgotten_run_first);
        }
        false
    }

    /// Time in which every credit ends: the quarantine, a slot that was reserved before it, and the validity of what is
    /// bound afterwards; what is final lags one.
    const fn rest_within(&self) -> u8 {
        2 * (self.bounds.validity + 1) + 2
    }

    /// Everything that a worker can do now.
    fn work_off(&self, state: &mut State) {
        loop {
            let mut actions = Vec::new();
            let busy = (0_u8..).zip(state.workers).find(|(_, step)| *step != Step::Idle);
            match busy {
                None => self.next_steps(state, 0, &mut actions),
                Some((worker, Step::Decided { .. })) => actions.push(Action::Record(worker)),
                Some((worker, Step::Idle | Step::Simulated(_) | Step::SentUnstored(_))) => actions.push(Action::Bind(worker)),
            }
            // Of the batches that can be simulated, the greatest; an incident is another property's.
            let next = actions.into_iter().rev().find(|action| self.is_progress(state, *action));
            let Some(next) = next else { return };
            self.apply(state, next);
        }
    }

    /// Whether an action changes something: an incident is another property's.
    fn is_progress(&self, state: &State, action: Action) -> bool {
        let Action::Judge { investment, .. } = action else { return true };
        let credit = state.database.investments[usize::from(investment)].and_then(|row| row.credit.processing());
        credit.is_some_and(|credit| self.ask_judge(state, investment, credit, false) != Said::Incident)
    }

    /// Makes blocks until nothing that waits can enter one, and makes all of them final.
    fn run_waiting(&self, state: &mut State, forgotten_run_first: bool) {
        let time = state.now;
        self.apply(state, Action::Mine { time, transaction: None, skips: 0 });
        loop {
            let is_known = |transaction| state.database.slots.iter().any(|slot| slot.transaction == transaction);
            let waiting: Vec<_> = state.chain.includable().collect();
            let preferred = waiting.iter().find(|one| is_known(**one) != forgotten_run_first);
            let Some(next) = preferred.or(waiting.first()).copied() else { break };
            self.apply(state, Action::Mine { time, transaction: Some(next), skips: 0 });
        }
        while !state.chain.branch.is_empty() {
            self.apply(state, Action::Finalize);
        }
    }
}

/// Whether exactly those investments are delivered whose orders took effect. The database does not know those that a
/// restore lost: reconciliation reports them.
fn agrees(state: &State) -> bool {
    state.database.each().all(|(investment, row)| {
        let is_applied = state.chain.times_applied(investment, View::Finalized) == 1;
        is_applied == (row.credit == Credit::Succeeded)
    })
}

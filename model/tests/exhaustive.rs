//! Visits every state within bounds, and shows that it would find mistakes. `SCRIP_LONG=1` visits many more.

use std::time::Instant;

use model::properties;
use model::state::Left;
use model::{Action, Bounds, Machine, Mutant, State};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// The machine's two cores.
const THREADS: usize = 2;
const ISSUED_ONCE: &str = "E1: issued once";
const FAILED_IS_THE_END: &str = "E2: what failed never runs";
const DELIVERED_STAYS: &str = "E3: what is delivered stays";
const COMES_TO_REST: &str = "E4, E5: everything ends in time, and register and ledger agree";
const IN_ORDER: &str = "E6: in order of instruction";
const ONE_CALL: &str = "a nonce carries one call";
const NO_INCIDENT: &str = "nobody else's order holds a number";

/// Everything at once: two workers that crash and take over, a restore, two reorganisations, a refusal.
const RESTORED: Bounds = Bounds {
    time_max: 2,
    validity: 0,
    branch_max: 1,
    orders_max: 1,
    backup_time_max: 0,
    splits_batches: false,
    creates_late: false,
    left: Left { reorgs: 2, refusals: 1, restores: 1 },
};
/// Credits that are ordered anew after they failed, and batches of any size; nothing is restored.
const RETRIED: Bounds = Bounds { orders_max: 2, splits_batches: true, left: Left { restores: 0, ..RESTORED.left }, ..RESTORED };
/// An investment that a restore loses, and that is made anew.
const LOST: Bounds = Bounds { creates_late: true, left: Left { reorgs: 0, refusals: 0, ..RESTORED.left }, ..RESTORED };
/// Reorganisations of two blocks at once, a restore from any moment, and time for an expiry afterwards.
const LONG: Bounds = Bounds {
    time_max: 3,
    branch_max: 2,
    backup_time_max: 3,
    splits_batches: true,
    left: Left { reorgs: 2, refusals: 1, restores: 1 },
    ..RESTORED
};

/// A machine, and the one promise that is looked at; all of them where none is named.
struct Explored {
    machine: Machine,
    promise: Option<&'static str>,
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.machine.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        *actions = self.machine.actions(state);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.machine.apply(&mut next, action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ISSUED_ONCE, |_, state| properties::is_issued_once(state)),
            Property::always(FAILED_IS_THE_END, |_, state| properties::is_failure_the_end(state)),
            Property::always(DELIVERED_STAYS, |_, state| properties::is_delivery_kept(state)),
            Property::always(COMES_TO_REST, |explored: &Self, state| explored.machine.comes_to_rest(state)),
            Property::always(IN_ORDER, |_, state| properties::is_in_order(state)),
            Property::always(ONE_CALL, |_, state| properties::is_nonce_unambiguous(state)),
            Property::always(NO_INCIDENT, |_, state| properties::has_no_incident(state)),
        ];
        properties.retain(|property| self.promise.is_none_or(|promise| property.name == promise));
        properties
    }
}

/// Visits everything, or everything up to the first broken promise. Says how many states it saw, and what is broken, with
/// the way there.
fn explore(name: &str, explored: Explored) -> (usize, Option<(&'static str, Vec<Action>)>) {
    let began = Instant::now();
    let checker = explored.checker().threads(THREADS).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().min_by_key(|(property, _)| *property);
    let broken = broken.map(|(property, path)| (property, path.into_actions()));
    let states = checker.unique_state_count();
    let found = broken
        .as_ref()
        .map_or("every promise holds".to_owned(), |(property, way)| format!("after {} actions not so: {property}", way.len()));
    println!("{name}: {states} states, depth {}, {:.1?}: {found}", checker.max_depth(), began.elapsed());
    (states, broken)
}

#[track_caller]
fn expect_sound(name: &str, bounds: Bounds, states_min: usize) {
    let (states, broken) = explore(name, Explored { machine: Machine { bounds, mutant: None }, promise: None });
    assert!(broken.is_none(), "{name}: {broken:#?}");
    assert!(states >= states_min, "{name}: only {states} states");
}

#[test]
fn every_promise_holds_in_every_state_with_crashes_a_restore_and_reorganisations() {
    expect_sound("restored", RESTORED, 1_000_000);
}

#[test]
fn every_promise_holds_when_credits_are_ordered_anew() {
    expect_sound("retried", RETRIED, 100_000);
}

#[test]
fn every_promise_holds_when_a_restore_loses_an_investment() {
    expect_sound("lost", LOST, 100_000);
}

#[test]
fn every_promise_holds_within_wider_bounds() {
    if std::env::var_os("SCRIP_LONG").is_some() {
        expect_sound("long", LONG, 10_000_000);
    }
}

/// Each mistake, where it is looked for, and the promise that it breaks.
const MISTAKES: [(Mutant, Bounds, &str); 12] = [
    (Mutant::TimeOutFails, RETRIED, FAILED_IS_THE_END),
    (Mutant::NoNumberOnLedger, RESTORED, ISSUED_ONCE),
    (Mutant::JudgedAtInclusion, RETRIED, DELIVERED_STAYS),
    (Mutant::SkipBelievedEarly, RETRIED, FAILED_IS_THE_END),
    (Mutant::UsedNonceFails, RETRIED, FAILED_IS_THE_END),
    (Mutant::SentBeforeStored, RETRIED, FAILED_IS_THE_END),
    (Mutant::NoQuarantine, RESTORED, FAILED_IS_THE_END),
    (Mutant::NumbersGivenAgain, LOST, NO_INCIDENT),
    (Mutant::NoExpiry, RETRIED, FAILED_IS_THE_END),
    (Mutant::ValidityNotStored, RETRIED, FAILED_IS_THE_END),
    (Mutant::NonceFromNode, RETRIED, ONE_CALL),
    (Mutant::NoFencing, RETRIED, FAILED_IS_THE_END),
];

#[test]
fn every_mistake_is_found() {
    let planted: Vec<Mutant> = MISTAKES.iter().map(|(mutant, _, _)| *mutant).collect();
    assert_eq!(planted, Mutant::ALL);
    for (mutant, bounds, promise) in MISTAKES {
        let explored = Explored { machine: Machine { bounds, mutant: Some(mutant) }, promise: Some(promise) };
        let (_, broken) = explore(&format!("{mutant:?}"), explored);
        assert!(broken.is_some(), "{mutant:?} does not break: {promise}");
    }
}

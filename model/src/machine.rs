//! The rules: what can happen in a state, and what it does.

use crate::chain::{ContractRules, ITEMS_MAX, Item, Transaction, View};
use crate::database::{Credit, Database, Slot};
use crate::evidence::Said;
use crate::mutant::Mutant;
use crate::state::{Action, Left, Observed, State, Step, Word};

/// How far new numbers start above the highest on the ledger after a restore (1,024 in the program): more than can be
/// in flight, and unknown.
const NUMBERS_AHEAD: u8 = 4;

/// How much is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time ends here.
    pub time_max: u8,
    /// How long a signed ledger transaction may run.
    pub validity: u8,
    /// Blocks that are not final, at most: also the depth of a reorganisation.
    pub branch_max: usize,
    /// Orders of a credit for each investment.
    pub orders_max: u8,
    /// Until when the backup is made.
    pub backup_time_max: u8,
    /// Whether a worker may take less than what is queued.
    pub splits_batches: bool,
    /// Whether the second investment is made while everything runs, so that a restore can lose it.
    pub creates_late: bool,
    /// What may go wrong.
    pub left: Left,
}

/// The rules within bounds, with at most one mistake in them.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// How much is explored.
    pub bounds: Bounds,
    /// The mistake.
    pub mutant: Option<Mutant>,
}

impl Machine {
    /// Where everything begins.
    #[must_use]
    pub fn start(&self) -> State {
        let mut database = Database::new();
        if !self.bounds.creates_late {
            database.create(1);
        }
        State {
            now: 0,
            chain: crate::chain::Chain::default(),
            database,
            backup: None,
            workers: [Step::Idle; 2],
            left: self.bounds.left,
            observed: Observed::default(),
        }
    }

    /// What can happen.
    #[must_use]
    pub fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        self.clients_actions(state, &mut actions);
        self.chains_actions(state, &mut actions);
        if state.backup.is_none() && state.left.restores > 0 && state.now <= self.bounds.backup_time_max {
            actions.push(Action::Backup);
        }
        if state.backup.is_some() && state.left.restores > 0 {
            actions.push(Action::Restore);
        }
        self.workers_actions(state, &mut actions);
        actions
    }

    fn clients_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let database = &state.database;
        if database.investments[1].is_none() && database.investments[2].is_none() {
            // After a restore that lost it, the client's second attempt is another investment.
            actions.push(Action::Create(if database.is_restored { 2 } else { 1 }));
        }
        for (investment, row) in database.each() {
            let is_free = matches!(row.credit, Credit::None | Credit::Failed);
            if is_free && row.orders < self.bounds.orders_max {
                actions.push(Action::Order(investment));
            }
        }
    }

    fn chains_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let chain = &state.chain;
        let has_reorganised = state.left.reorgs < self.bounds.left.reorgs;
        if state.now < self.bounds.time_max {
            actions.push(Action::Tick);
        }
        if !chain.branch.is_empty() {
            actions.push(Action::Finalize);
        }
        if state.left.reorgs > 0 {
            actions.extend((1..=chain.branch.len()).map(|depth| Action::Reorganise(u8::try_from(depth).unwrap_or(u8::MAX))));
        }
        if chain.branch.len() >= self.bounds.branch_max {
            return;
        }
        let head_time = chain.time(View::Head);
        if state.now > head_time {
            actions.push(Action::Mine { time: state.now, transaction: None, skips: 0 });
        }
        // Blocks of another branch may be older than the present time.
        let times = if has_reorganised {
            [Some(state.now), Some(head_time).filter(|time| *time < state.now)]
        } else {
            [Some(state.now), None]
        };
        for time in times.into_iter().flatten() {
            for transaction in chain.includable() {
                let items = transaction.items.iter().flatten().count();
                let skips_end = if state.left.refusals > 0 { 1 << items } else { 1 };
                for skips in 0..skips_end {
                    actions.push(Action::Mine { time, transaction: Some(transaction), skips });
                }
            }
        }
    }

    fn workers_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, step) in (0_u8..).zip(state.workers) {
            match step {
                Step::Idle => {}
                Step::Simulated(_) if self.mutant == Some(Mutant::SentBeforeStored) => actions.push(Action::SendUnstored(worker)),
                Step::Simulated(_) | Step::SentUnstored(_) => actions.push(Action::Bind(worker)),
                Step::Decided { .. } => actions.push(Action::Record(worker)),
            }
            if step != Step::Idle {
                actions.push(Action::Crash(worker));
            }
        }
        // It does not matter which of two that have nothing in mind begins.
        if let Some(worker) = (0_u8..).zip(state.workers).find_map(|(worker, step)| (step == Step::Idle).then_some(worker)) {
            self.next_steps(state, worker, actions);
        }
    }

    pub(crate) fn next_steps(&self, state: &State, worker: u8, actions: &mut Vec<Action>) {
        let database = &state.database;
        if !database.is_quarantined(&state.chain) {
            let queued = database.queued();
            let most = queued.len().min(ITEMS_MAX);
            let batches = if self.bounds.splits_batches { 1..=most } else { most.max(1)..=most };
            actions.extend(batches.map(|count| Action::Simulate { worker, count: u8::try_from(count).unwrap_or(u8::MAX) }));
            if state.left.refusals > 0 {
                // A repeat is no refusal: the contract looks at the number first.
                let refusable = queued.iter().filter(|item| !state.chain.is_number_applied(item.number, View::Head));
                actions.extend(refusable.map(|item| Action::Refuse { worker, investment: item.investment }));
            }
        }
        for (slot, row) in (0_u8..).zip(&database.slots) {
            if row.is_stored {
                if !state.chain.broadcast.contains(&row.transaction) {
                    actions.push(Action::Send(slot));
                }
            } else if !database.is_quarantined(&state.chain) {
                actions.push(Action::Store { worker, slot });
            }
        }
        for (investment, row) in database.each() {
            if let Some(credit) = row.credit.processing() {
                if self.ask_judge(state, investment, credit, false) != Said::Nothing {
                    actions.push(Action::Judge { worker, investment });
                }
                if self.gives_up(state, credit) {
                    actions.push(Action::GiveUp { worker, investment });
                }
            } else if database.is_restored && row.credit != Credit::Succeeded && self.is_own_applied(state, investment) {
                actions.push(Action::Adopt(investment));
            }
        }
    }

    /// Whether a mutant calls a credit failed that the judge does not.
    fn gives_up(&self, state: &State, credit: u8) -> bool {
        let Some(slot) = state.database.slot_of(credit).filter(|slot| slot.is_stored) else { return false };
        match self.mutant {
            Some(Mutant::TimeOutFails) => state.now > slot.transaction.valid_until,
            Some(Mutant::UsedNonceFails) => state.chain.nonce(View::Head) > slot.transaction.nonce,
            Some(_) | None => false,
        }
    }

    /// What the contract does.
    #[must_use]
    pub fn rules(&self) -> ContractRules {
        ContractRules {
            knows_expiry: self.mutant != Some(Mutant::NoExpiry),
            knows_numbers: self.mutant != Some(Mutant::NoNumberOnLedger),
        }
    }

    /// Lets something happen.
    pub fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Create(investment) => state.database.create(usize::from(investment)),
            Action::Order(investment) => order(state, investment),
            Action::Tick => state.now += 1,
            Action::Mine { time, transaction, skips } => {
                state.chain.mine(time, transaction, skips, self.rules());
                let is_refused = state
                    .chain
                    .branch
                    .last()
                    .is_some_and(|block| block.records.iter().any(|record| record.outcome == crate::chain::Outcome::Skipped));
                state.left.refusals -= u8::from(is_refused);
            }
            Action::Finalize => state.chain.finalize(),
            Action::Reorganise(depth) => {
                state.chain.take_back(usize::from(depth));
                state.left.reorgs -= 1;
            }
            Action::Backup => state.backup = Some(Box::new(state.database.clone())),
            Action::Restore => self.restore(state),
            Action::Crash(worker) => state.workers[usize::from(worker)] = Step::Idle,
            Action::Simulate { worker, count } => {
                let mut items = [None; ITEMS_MAX];
                for (place, item) in items.iter_mut().zip(state.database.queued().into_iter().take(usize::from(count))) {
                    *place = Some(item);
                }
                let transaction = Transaction { nonce: self.next_nonce(state), valid_until: self.valid_until(state), items };
                self.take_lane(state, worker);
                state.workers[usize::from(worker)] = Step::Simulated(transaction);
            }
            Action::Refuse { worker, investment } => {
                state.left.refusals -= 1;
                self.decide(state, worker, investment, true);
            }
            Action::Bind(worker) => self.bind(state, usize::from(worker)),
            Action::Store { worker, slot } => self.store(state, worker, usize::from(slot)),
            Action::Send(slot) => state.chain.receive(state.database.slots[usize::from(slot)].transaction),
            Action::Judge { worker, investment } => self.decide(state, worker, investment, false),
            Action::Record(worker) => record(state, usize::from(worker)),
            Action::Adopt(investment) => end(state, investment, Word::Succeeded),
            Action::GiveUp { worker, investment } => {
                let credit = state.database.investments[usize::from(investment)].and_then(|row| row.credit.processing());
                if let Some(credit) = credit {
                    state.workers[usize::from(worker)] = Step::Decided { investment, credit, word: Word::Failed };
                }
            }
            Action::SendUnstored(worker) => {
                if let Step::Simulated(transaction) = state.workers[usize::from(worker)] {
                    state.chain.receive(transaction);
                    state.workers[usize::from(worker)] = Step::SentUnstored(transaction);
                }
            }
        }
        state.database.close_done(&state.chain);
        state.workers.sort_unstable();
    }

    fn valid_until(&self, state: &State) -> u8 {
        state.now.max(state.chain.time(View::Finalized)) + self.bounds.validity
    }

    /// The nonce that is bound next. After a restore the ledger may have used more than the database remembers.
    fn next_nonce(&self, state: &State) -> u8 {
        let used = state.chain.nonce(View::Head);
        let is_from_node = self.mutant == Some(Mutant::NonceFromNode);
        match (is_from_node, state.database.is_restored) {
            (true, _) => used,
            (false, true) => state.database.next_nonce.max(used),
            (false, false) => state.database.next_nonce,
        }
    }

    /// A worker begins something: the lane is its own from then on. What another that held it records is refused, so that
    /// it has to begin anew.
    fn take_lane(&self, state: &mut State, worker: u8) {
        if self.mutant != Some(Mutant::NoFencing) {
            state.workers[1 - usize::from(worker)] = Step::Idle;
        }
    }

    fn decide(&self, state: &mut State, worker: u8, investment: u8, is_refused: bool) {
        let credit = state.database.investments[usize::from(investment)].and_then(|row| row.credit.processing());
        let Some(credit) = credit else { return };
        self.take_lane(state, worker);
        match self.ask_judge(state, investment, credit, is_refused) {
            Said::Ended(word) => state.workers[usize::from(worker)] = Step::Decided { investment, credit, word },
            Said::Incident => state.observed.has_incident = true,
            Said::Nothing => {}
        }
    }

    /// Claims those that are still queued, and reserves a nonce for them.
    fn bind(&self, state: &mut State, worker: usize) {
        let (Step::Simulated(simulated) | Step::SentUnstored(simulated)) = state.workers[worker] else { return };
        let is_sent = matches!(state.workers[worker], Step::SentUnstored(_));
        state.workers[worker] = Step::Idle;
        let queued = state.database.queued();
        let claimed: Vec<Item> = simulated.items.into_iter().flatten().filter(|item| queued.contains(item)).collect();
        if claimed.is_empty() {
            return;
        }
        let mut items = [None; ITEMS_MAX];
        for (place, item) in items.iter_mut().zip(&claimed) {
            *place = Some(*item);
        }
        let nonce = if is_sent { simulated.nonce } else { self.reserved_nonce(state, simulated.nonce) };
        state.database.next_nonce = state.database.next_nonce.max(nonce + 1);
        for item in &claimed {
            if let Some(row) = &mut state.database.investments[usize::from(item.investment)] {
                row.credit = Credit::Bound { credit: item.credit };
            }
        }
        let transaction = Transaction { nonce, valid_until: simulated.valid_until, items };
        state.database.slots.push(Slot { transaction, is_stored: is_sent });
    }

    fn reserved_nonce(&self, state: &State, simulated: u8) -> u8 {
        if self.mutant == Some(Mutant::NonceFromNode) { simulated } else { self.next_nonce(state) }
    }

    fn store(&self, state: &mut State, worker: u8, slot: usize) {
        self.take_lane(state, worker);
        state.database.slots[slot].is_stored = true;
        if self.mutant == Some(Mutant::ValidityNotStored) {
            let valid_until = self.valid_until(state);
            state.chain.receive(Transaction { valid_until, ..state.database.slots[slot].transaction });
        }
    }

    /// The database goes back; the ledger does not, and neither does what the observer has seen.
    fn restore(&self, state: &mut State) {
        let Some(backup) = state.backup.take() else { return };
        state.database = *backup;
        state.left.restores -= 1;
        state.workers = [Step::Idle; 2];
        state.database.is_restored = true;
        if self.mutant != Some(Mutant::NoQuarantine) {
            state.database.quarantine_until = Some(self.valid_until(state));
        }
        if self.mutant != Some(Mutant::NumbersGivenAgain) {
            let highest = state.chain.records(View::Head).map(|record| record.item.number + 1).max().unwrap_or(0);
            state.database.next_number = state.database.next_number.max(highest) + NUMBERS_AHEAD;
        }
        // Who was queued then is another order for the observer: nothing that was said of the lost one binds it.
        for item in state.database.queued() {
            if let Some(row) = &mut state.database.investments[usize::from(item.investment)] {
                row.credit = Credit::Queued { credit: state.observed.next_credit };
                state.observed.next_credit += 1;
            }
        }
    }
}

fn order(state: &mut State, investment: u8) {
    if let Some(row) = &mut state.database.investments[usize::from(investment)] {
        row.credit = Credit::Queued { credit: state.observed.next_credit };
        row.orders += 1;
        state.observed.next_credit += 1;
    }
}

/// Credit, investment and instruction in one commit; a word is said once.
fn record(state: &mut State, worker: usize) {
    let Step::Decided { investment, credit, word } = state.workers[worker] else { return };
    state.workers[worker] = Step::Idle;
    let row = state.database.investments[usize::from(investment)];
    if row.and_then(|row| row.credit.processing()) == Some(credit) {
        end(state, investment, word);
    }
}

fn end(state: &mut State, investment: u8, word: Word) {
    let known = state.database.slots.iter().map(|slot| slot.transaction).chain(state.chain.broadcast.iter().copied());
    let signed: u32 = known
        .flat_map(|transaction| transaction.items.into_iter().flatten())
        .filter(|item| item.investment == investment)
        .map(|item| 1 << item.credit)
        .fold(0, |all, bit| all | bit);
    let Some(row) = &mut state.database.investments[usize::from(investment)] else { return };
    match word {
        Word::Succeeded => {
            row.credit = Credit::Succeeded;
            state.observed.delivered |= 1 << investment;
        }
        Word::Failed => {
            state.observed.dead |= signed | row.credit.processing().map_or(0, |credit| 1 << credit);
            row.credit = Credit::Failed;
        }
    }
}

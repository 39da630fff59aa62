//! A ledger with one account's nonces, one contract, blocks that can be taken back, and a pool that forgets nothing.

/// Items of one ledger transaction at most.
pub const ITEMS_MAX: usize = 2;

/// One instruction as the contract gets it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Item {
    /// Whose order it is; on the ledger, the key.
    pub investment: u8,
    /// What the contract remembers.
    pub number: u8,
    /// Which order of a credit it was signed for. Only the observer sees it.
    pub credit: u8,
}

/// A signed ledger transaction, by what it says. Whoever signs it again makes the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Transaction {
    /// The account's nonce.
    pub nonce: u8,
    /// The last time at which a block can carry it out.
    pub valid_until: u8,
    /// What it orders, in order of instruction.
    pub items: [Option<Item>; ITEMS_MAX],
}

impl Transaction {
    /// The item of this order of a credit.
    #[must_use]
    pub fn item_of(&self, credit: u8) -> Option<Item> {
        self.items.iter().flatten().find(|item| item.credit == credit).copied()
    }
}

/// What became of an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// It could not be applied.
    Skipped,
}

/// What the contract tells of an item that was not a repeat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Record {
    /// The item.
    pub item: Item,
    /// What became of it.
    pub outcome: Outcome,
    /// The transaction that held it.
    pub transaction: Transaction,
}

/// A block that can still be taken back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Block {
    /// Its time.
    pub time: u8,
    /// How many nonces it used: one or none.
    pub nonces: u8,
    /// What the contract told in it.
    pub records: Vec<Record>,
}

/// Up to where the ledger is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The newest block.
    Head,
    /// The newest block that cannot be taken back.
    Finalized,
}

/// What the contract does.
#[derive(Clone, Copy, Debug)]
pub struct ContractRules {
    /// Refuses what comes after its validity.
    pub knows_expiry: bool,
    /// Remembers numbers, and applies each once.
    pub knows_numbers: bool,
}

/// The ledger.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Chain {
    /// Time of the newest final block.
    pub finalized_time: u8,
    /// Nonces used up to it.
    pub finalized_nonce: u8,
    /// What the contract told up to it, in order.
    pub finalized_records: Vec<Record>,
    /// The blocks after it.
    pub branch: Vec<Block>,
    /// Everything that was ever sent, sorted. Any of it may enter a block at any time, or never.
    pub broadcast: Vec<Transaction>,
}

impl Chain {
    /// Time of the newest block that is seen.
    #[must_use]
    pub fn time(&self, view: View) -> u8 {
        match view {
            View::Head => self.branch.last().map_or(self.finalized_time, |block| block.time),
            View::Finalized => self.finalized_time,
        }
    }

    /// How many nonces are used.
    #[must_use]
    pub fn nonce(&self, view: View) -> u8 {
        match view {
            View::Head => self.finalized_nonce + self.branch.iter().map(|block| block.nonces).sum::<u8>(),
            View::Finalized => self.finalized_nonce,
        }
    }

    /// What the contract told, in order.
    pub fn records(&self, view: View) -> impl Iterator<Item = &Record> {
        let branch = match view {
            View::Head => self.branch.as_slice(),
            View::Finalized => &[],
        };
        self.finalized_records.iter().chain(branch.iter().flat_map(|block| &block.records))
    }

    /// Whether some item took effect under the number.
    #[must_use]
    pub fn is_number_applied(&self, number: u8, view: View) -> bool {
        self.records(view).any(|record| record.item.number == number && record.outcome == Outcome::Applied)
    }

    /// How often the investment's order took effect.
    #[must_use]
    pub fn times_applied(&self, investment: u8, view: View) -> usize {
        let applied = self.records(view).filter(|record| record.outcome == Outcome::Applied);
        applied.filter(|record| record.item.investment == investment).count()
    }

    /// What a block could take next.
    pub fn includable(&self) -> impl Iterator<Item = Transaction> {
        let nonce = self.nonce(View::Head);
        self.broadcast.iter().filter(move |transaction| transaction.nonce == nonce).copied()
    }

    /// Hears of a transaction.
    pub fn receive(&mut self, transaction: Transaction) {
        if let Err(place) = self.broadcast.binary_search(&transaction) {
            self.broadcast.insert(place, transaction);
        }
    }

    /// Makes a block. Items whose bit is set in `skips` cannot be applied now.
    pub fn mine(&mut self, time: u8, transaction: Option<Transaction>, skips: u8, rules: ContractRules) {
        let mut records: Vec<Record> = Vec::new();
        let in_time = transaction.filter(|transaction| time <= transaction.valid_until || !rules.knows_expiry);
        for (transaction, item, position) in in_time.iter().flat_map(|transaction| {
            transaction.items.iter().enumerate().filter_map(move |(position, item)| Some((transaction, (*item)?, position)))
        }) {
            let is_repeat = rules.knows_numbers && self.is_number_applied(item.number, View::Head);
            if is_repeat {
                continue;
            }
            let outcome = if skips & (1 << position) == 0 { Outcome::Applied } else { Outcome::Skipped };
            records.push(Record { item, outcome, transaction: *transaction });
        }
        self.branch.push(Block { time, nonces: u8::from(transaction.is_some()), records });
    }

    /// Takes the newest blocks back. What they held is still known to the network.
    pub fn take_back(&mut self, depth: usize) {
        self.branch.truncate(self.branch.len().saturating_sub(depth));
    }

    /// Makes the oldest block final that is not.
    pub fn finalize(&mut self) {
        if self.branch.is_empty() {
            return;
        }
        let block = self.branch.remove(0);
        self.finalized_time = block.time;
        self.finalized_nonce += block.nonces;
        self.finalized_records.extend(block.records);
    }
}

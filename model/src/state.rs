//! Everything at one moment, and what can happen next.

use crate::chain::{Chain, Transaction};
use crate::database::Database;

/// What a worker process has in mind. A crash forgets it, and so does another worker that takes the lane.
///
/// Between storing bytes and sending them nothing has to be remembered: whoever reads the rows can send them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// Nothing.
    Idle,
    /// The simulation passed; nothing is bound.
    Simulated(Transaction),
    /// The bytes were sent, and nothing is committed: only a mutant is ever here.
    SentUnstored(Transaction),
    /// The judge has spoken, and it is not recorded.
    Decided {
        /// The investment.
        investment: u8,
        /// The order of a credit that was judged.
        credit: u8,
        /// The word.
        word: Word,
    },
}

/// A word that ends a credit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Word {
    /// Delivered.
    Succeeded,
    /// Failed.
    Failed,
}

/// What may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Left {
    /// Reorganisations.
    pub reorgs: u8,
    /// Items that the contract or the simulation finds cannot be applied.
    pub refusals: u8,
    /// Restores from the backup.
    pub restores: u8,
}

/// What an observer remembers of what was said and done, through every restore.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Observed {
    /// The next order of a credit.
    pub next_credit: u8,
    /// Investments that were said to be delivered, as bits.
    pub delivered: u8,
    /// Orders of credits that were said to have failed, with everything that was signed before: none of them may run.
    pub dead: u32,
    /// Whether the judge found another order under an investment's number.
    pub has_incident: bool,
}

/// Everything at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Time.
    pub now: u8,
    /// The ledger and its network.
    pub chain: Chain,
    /// The committed rows.
    pub database: Database,
    /// The rows as they were when the backup was made.
    pub backup: Option<Box<Database>>,
    /// Two processes, sorted: it does not matter which is which.
    pub workers: [Step; 2],
    /// What may still go wrong.
    pub left: Left,
    /// What an observer remembers.
    pub observed: Observed,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A client makes an investment.
    Create(u8),
    /// A client orders a credit.
    Order(u8),
    /// Time passes.
    Tick,
    /// A block is made.
    Mine {
        /// Its time.
        time: u8,
        /// What it takes.
        transaction: Option<Transaction>,
        /// Items that cannot be applied now, as bits.
        skips: u8,
    },
    /// The oldest block becomes final.
    Finalize,
    /// The newest blocks are taken back.
    Reorganise(u8),
    /// A backup is made.
    Backup,
    /// The database is lost, and restored from the backup; every process starts anew.
    Restore,
    /// A worker dies.
    Crash(u8),
    /// The simulation of this many queued instructions passes.
    Simulate {
        /// Which worker.
        worker: u8,
        /// How many instructions.
        count: u8,
    },
    /// The simulation refuses an investment's instruction.
    Refuse {
        /// Which worker.
        worker: u8,
        /// The investment.
        investment: u8,
    },
    /// A nonce is reserved, and the instructions are bound to it.
    Bind(u8),
    /// A slot is signed, and the bytes are committed.
    Store {
        /// Which worker.
        worker: u8,
        /// Which slot.
        slot: u8,
    },
    /// A slot's stored bytes are sent.
    Send(u8),
    /// The judge is asked about an investment's credit.
    Judge {
        /// Which worker.
        worker: u8,
        /// The investment.
        investment: u8,
    },
    /// The judge's word is committed.
    Record(u8),
    /// After a restore: what the ledger holds of an investment is taken over.
    Adopt(u8),
    /// A mutant's own idea of the end of a credit.
    GiveUp {
        /// Which worker.
        worker: u8,
        /// The investment.
        investment: u8,
    },
    /// A mutant sends before it commits.
    SendUnstored(u8),
}

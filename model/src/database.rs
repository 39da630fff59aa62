//! What is committed: investments, their credits, nonces, signed bytes. It survives crashes, and a restore takes it back.

use crate::chain::{Chain, Item, Transaction, View};

/// Investments that can be told apart: two, and the second once more where a restore lost it.
pub const INVESTMENTS: usize = 3;

/// How the newest credit of an investment stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Credit {
    /// There is none.
    None,
    /// Ordered, in no ledger transaction.
    Queued {
        /// Which order of all; later orders have greater ones.
        credit: u8,
    },
    /// Bound to a ledger transaction.
    Bound {
        /// Which order of all.
        credit: u8,
    },
    /// The investment is delivered.
    Succeeded,
    /// It may be ordered anew.
    Failed,
}

impl Credit {
    /// The order, while it is undecided.
    #[must_use]
    pub const fn processing(self) -> Option<u8> {
        match self {
            Self::Queued { credit } | Self::Bound { credit } => Some(credit),
            Self::None | Self::Succeeded | Self::Failed => None,
        }
    }
}

/// An investment that is paid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Investment {
    /// Its instruction number, for ever.
    pub number: u8,
    /// Its newest credit.
    pub credit: Credit,
    /// How often a credit was ordered.
    pub orders: u8,
}

/// A reserved nonce and what is bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// What is signed under it.
    pub transaction: Transaction,
    /// Whether the signed bytes are committed.
    pub is_stored: bool,
}

/// The committed rows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Database {
    /// By investment.
    pub investments: [Option<Investment>; INVESTMENTS],
    /// Live ledger transactions.
    pub slots: Vec<Slot>,
    /// The next nonce that was never reserved.
    pub next_nonce: u8,
    /// The number of the next investment.
    pub next_number: u8,
    /// After a restore: the last time at which something can run that nobody remembers.
    pub quarantine_until: Option<u8>,
    /// Whether it was taken back once.
    pub is_restored: bool,
}

impl Database {
    /// One investment, nothing ordered.
    #[must_use]
    pub fn new() -> Self {
        let mut new = Self {
            investments: [None; INVESTMENTS],
            slots: Vec::new(),
            next_nonce: 0,
            next_number: 0,
            quarantine_until: None,
            is_restored: false,
        };
        new.create(0);
        new
    }

    /// Creates an investment with the next number.
    pub fn create(&mut self, investment: usize) {
        self.investments[investment] = Some(Investment { number: self.next_number, credit: Credit::None, orders: 0 });
        self.next_number += 1;
    }

    /// What waits, in order of instruction.
    #[must_use]
    pub fn queued(&self) -> Vec<Item> {
        let mut queued: Vec<Item> = self
            .each()
            .filter_map(|(investment, row)| match row.credit {
                Credit::Queued { credit } => Some(Item { investment, number: row.number, credit }),
                Credit::None | Credit::Bound { .. } | Credit::Succeeded | Credit::Failed => None,
            })
            .collect();
        queued.sort_unstable_by_key(|item| item.credit);
        queued
    }

    /// The investments that exist.
    pub fn each(&self) -> impl Iterator<Item = (u8, Investment)> {
        (0_u8..).zip(self.investments).filter_map(|(investment, row)| Some((investment, row?)))
    }

    /// The ledger transaction that an order of a credit is bound to.
    #[must_use]
    pub fn slot_of(&self, credit: u8) -> Option<Slot> {
        self.slots.iter().find(|slot| slot.transaction.item_of(credit).is_some()).copied()
    }

    /// Whether signing is forbidden.
    #[must_use]
    pub fn is_quarantined(&self, chain: &Chain) -> bool {
        self.quarantine_until.is_some_and(|until| chain.time(View::Finalized) <= until)
    }

    /// Closes what is judged and whose nonce is used in a final block.
    pub fn close_done(&mut self, chain: &Chain) {
        let investments = self.investments;
        let is_open = |item: &Item| {
            let credit = investments[usize::from(item.investment)].map_or(Credit::None, |row| row.credit);
            credit.processing() == Some(item.credit)
        };
        self.slots.retain(|slot| {
            slot.transaction.nonce >= chain.nonce(View::Finalized) || slot.transaction.items.iter().flatten().any(is_open)
        });
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

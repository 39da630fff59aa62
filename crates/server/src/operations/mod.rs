//! One function of the business = one operation: it says which rows it wants, and decides on them in memory.
//!
//! An operation writes nothing until everything is decided. It runs inside a batch of the desk, after the operations
//! that arrived before it, and sees their effect. Nothing here waits, reads a clock or speaks to a database.

pub mod campaign;
pub mod client;
pub mod credit;
pub mod document;
pub mod freeze;
pub mod investment;
pub mod investor;
pub mod issuer;
pub mod lease;
pub mod ledger;
pub mod listing;
pub mod network;
pub mod organisation;
pub mod product;
pub mod recovery;
pub mod sandbox;
pub mod setting;
pub mod wallet;
pub mod webhook;

use std::collections::BTreeMap;

use domain::ids::{ClientId, InvestorId};
use domain::instant::Instant;
use domain::investment::{Act, Investment, Party, Status};
use domain::journal::{Entry, Head, SubjectKey, state_mac};
use domain::product::Inconsistent;
use domain::refusal::Refusal;
use domain::state::Journaled;
use store::{Book, Record, Wanted};

use crate::entropy::Entropy;
use crate::keyring::Keyring;

/// One business act.
pub trait Operation: std::fmt::Debug + Send + 'static {
    /// What it comes to.
    type Output: std::fmt::Debug + Send + 'static;

    /// Names the rows it needs.
    fn want(&self, wanted: &mut Wanted);

    /// Decides, and writes its effect into the book.
    ///
    /// # Errors
    /// Why the act is not done; the book is as it was then.
    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Self::Output, Refused>;

    /// The investor that a remembered answer of this act concerns: it is sealed under the investor's key.
    fn subject(&self, _book: &Book) -> Option<InvestorId> {
        None
    }
}

/// Why an act is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The object the request names in its path is not there, or not the caller's.
    NotFound,
    /// Objects the request names in its body are not there, or not the caller's; each by its JSON pointer.
    BodyIdsNotFound(Vec<String>),
    /// Stored state or limits refuse it.
    Rules(Box<BrokenRules>),
    /// Stored facts contradict each other.
    Inconsistent(Inconsistent),
}

/// Every rule an act breaks, and what is open instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenRules {
    /// The rules; the first one gives the problem its name.
    pub refusals: Vec<Refusal>,
    /// Where the investment stands, where it is about one.
    pub current: Option<(Status, Vec<Act>)>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Rules(Box::new(BrokenRules { refusals: vec![refusal], current: None }))
    }
}

impl From<Vec<Refusal>> for Refused {
    fn from(refusals: Vec<Refusal>) -> Self {
        Self::Rules(Box::new(BrokenRules { refusals, current: None }))
    }
}

impl From<Inconsistent> for Refused {
    fn from(inconsistent: Inconsistent) -> Self {
        Self::Inconsistent(inconsistent)
    }
}

/// A refusal on an investment, with where it stands and what a party may do instead.
#[must_use]
pub fn refused_on(investment: &Investment, party: Party, refusals: Vec<Refusal>) -> Refused {
    let current = Some((investment.status(), investment.allowed_acts(party).collect()));
    Refused::Rules(Box::new(BrokenRules { refusals, current }))
}

/// What an operation is given beside the rows: the instant, who acts, randomness, keys, and the record it adds to.
#[derive(Debug)]
pub struct Context<'a> {
    /// The instant the request was received.
    pub now: Instant,
    /// The client that acts; `None` where the program acts by itself.
    pub actor: Option<ClientId>,
    /// Randomness for ids, keys and seals.
    pub entropy: &'a mut Entropy,
    /// The instance's keys.
    pub keyring: &'a Keyring,
    /// What the batch writes beside the rows.
    pub record: &'a mut Record,
    /// The journal's newest entry, this batch's included.
    pub head: &'a mut Head,
    /// Subject keys opened so far in this batch.
    pub subject_keys: &'a mut BTreeMap<InvestorId, SubjectKey>,
}

impl Context<'_> {
    /// Writes the new state of an object into the journal.
    ///
    /// # Errors
    /// The subject's key is missing: nothing may be recorded about a subject that was erased.
    pub fn journal(&mut self, book: &Book, act: &str, object: &impl Journaled) -> Result<(), Inconsistent> {
        let subject = object.subject();
        let key = match subject {
            Some(id) => self.subject_key(book, InvestorId::new(id))?,
            None => self.keyring.journal_key(),
        };
        let entry = Entry {
            sequence: self.head.sequence + 1,
            occurred_at: self.now,
            actor: self.actor.map(ClientId::uuid),
            act: act.to_owned(),
            object: object.object(),
            subject,
            state_mac: state_mac(&key, object.object(), &object.state()),
            previous_hash: self.head.hash,
        };
        *self.head = Head { sequence: entry.sequence, hash: entry.hash() };
        self.record.journal.push(entry);
        Ok(())
    }

    /// The key of a subject.
    ///
    /// # Errors
    /// It was erased, or cannot be unwrapped.
    pub fn subject_key(&mut self, book: &Book, subject: InvestorId) -> Result<SubjectKey, Inconsistent> {
        if let Some(key) = self.subject_keys.get(&subject) {
            return Ok(*key);
        }
        let wrapped = book.wrapped_keys.get(&subject).ok_or(Inconsistent("subject_key"))?;
        let key = self.keyring.unwrap_key(subject, wrapped).map_err(|_| Inconsistent("subject_key.wrapped"))?;
        self.subject_keys.insert(subject, key);
        Ok(key)
    }
}

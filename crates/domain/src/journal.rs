//! The journal: an append-only, hash-chained log of what happened.
//!
//! An entry holds no personal data. It names its subject by id and carries an HMAC of the object's new state under
//! the subject's own key. Erasing that key makes the HMAC meaningless, yet the chain still verifies.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::instant::Instant;

/// Separates the journal's hashes from every other use of SHA-256.
const ENTRY_TAG: &[u8] = b"scrip.journal.v1";

/// A SHA-256 or HMAC-SHA-256 value.
pub type Digest32 = [u8; 32];

/// The key under which a subject's values are sealed and their HMAC is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SubjectKey(pub [u8; 32]);

impl std::fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectKey(…)")
    }
}

/// What kind of object an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ObjectKind {
    /// A tenant.
    Organisation,
    /// An OAuth client.
    Client,
    /// A legal entity behind products.
    Issuer,
    /// A product.
    Product,
    /// A listing.
    Listing,
    /// A campaign.
    Campaign,
    /// An investor account.
    Investor,
    /// A wallet.
    Wallet,
    /// An uploaded document.
    Document,
    /// An investment.
    Investment,
    /// A credit.
    Credit,
    /// Where an organisation is told of its investments.
    Webhook,
}

impl ObjectKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::Organisation,
        Self::Client,
        Self::Issuer,
        Self::Product,
        Self::Listing,
        Self::Campaign,
        Self::Investor,
        Self::Wallet,
        Self::Document,
        Self::Investment,
        Self::Credit,
        Self::Webhook,
    ];

    /// The word in storage and in the hash.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Client => "client",
            Self::Issuer => "issuer",
            Self::Product => "product",
            Self::Listing => "listing",
            Self::Campaign => "campaign",
            Self::Investor => "investor",
            Self::Wallet => "wallet",
            Self::Document => "document",
            Self::Investment => "investment",
            Self::Credit => "credit",
            Self::Webhook => "webhook",
        }
    }

    /// The kind a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its id.
    pub id: Uuid,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place, from 1 without gaps.
    pub sequence: u64,
    /// When it happened.
    pub occurred_at: Instant,
    /// The client that acted; `None` where the program acted by itself.
    pub actor: Option<Uuid>,
    /// The business verb.
    pub act: String,
    /// What was changed.
    pub object: Object,
    /// The person whose key seals the values; `None` where the object concerns no person.
    pub subject: Option<Uuid>,
    /// HMAC-SHA-256 of the object's new state under the subject's key.
    pub state_mac: Digest32,
    /// The hash of the entry before; zeros for the first.
    pub previous_hash: Digest32,
}

impl Entry {
    /// The hash that the next entry carries.
    #[must_use]
    pub fn hash(&self) -> Digest32 {
        let mut canonical = Canonical::new();
        canonical
            .bytes(ENTRY_TAG)
            .number(self.sequence)
            .signed(self.occurred_at.micros())
            .optional(self.actor.as_ref().map(|id| id.as_bytes().as_slice()))
            .bytes(self.act.as_bytes())
            .bytes(self.object.kind.code().as_bytes())
            .bytes(self.object.id.as_bytes())
            .optional(self.subject.as_ref().map(|id| id.as_bytes().as_slice()))
            .bytes(&self.state_mac)
            .bytes(&self.previous_hash);
        Sha256::digest(canonical.as_slice()).into()
    }
}

/// The newest entry's place and hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The newest entry's sequence; zero for an empty journal.
    pub sequence: u64,
    /// The newest entry's hash; zeros for an empty journal.
    pub hash: Digest32,
}

impl Head {
    /// The head of a journal without entries.
    pub const EMPTY: Self = Self { sequence: 0, hash: [0; 32] };
}

/// HMAC-SHA-256 of an object's state under a subject's key.
#[must_use]
pub fn state_mac(key: &SubjectKey, object: Object, state: &Canonical) -> Digest32 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.0) else {
        // HMAC takes keys of every length; thirty-two bytes cannot fail.
        return [0; 32];
    };
    mac.update(object.kind.code().as_bytes());
    mac.update(object.id.as_bytes());
    mac.update(state.as_slice());
    mac.finalize().into_bytes().into()
}

/// A byte encoding in which two different values never look alike: every field is prefixed by its length.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// An empty encoding.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends an unsigned number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a signed number.
    pub fn signed(&mut self, number: i64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a yes or no.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.bytes(&[u8::from(flag)])
    }

    /// Appends bytes that may be absent; absent and empty differ.
    pub fn optional(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.flag(true).bytes(bytes),
            None => self.flag(false),
        }
    }

    /// Appends an instant that may be absent.
    pub fn instant(&mut self, instant: Option<Instant>) -> &mut Self {
        self.optional(instant.map(|i| i.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
    }

    /// The encoding.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            sequence: 1,
            occurred_at: Instant::from_micros(1),
            actor: None,
            act: "create".into(),
            object: Object { kind: ObjectKind::Campaign, id: Uuid::nil() },
            subject: None,
            state_mac: [1; 32],
            previous_hash: [0; 32],
        }
    }

    #[test]
    fn every_field_of_an_entry_is_in_its_hash() {
        let original = entry().hash();
        let changed = [
            Entry { sequence: 2, ..entry() },
            Entry { occurred_at: Instant::from_micros(2), ..entry() },
            Entry { actor: Some(Uuid::nil()), ..entry() },
            Entry { act: "creatf".into(), ..entry() },
            Entry { object: Object { kind: ObjectKind::Credit, id: Uuid::nil() }, ..entry() },
            Entry { object: Object { kind: ObjectKind::Campaign, id: Uuid::max() }, ..entry() },
            Entry { subject: Some(Uuid::nil()), ..entry() },
            Entry { state_mac: [2; 32], ..entry() },
            Entry { previous_hash: [1; 32], ..entry() },
        ];
        for (index, entry) in changed.iter().enumerate() {
            assert_ne!(entry.hash(), original, "field {index}");
        }
    }

    #[test]
    fn neighbouring_fields_cannot_be_shifted_into_each_other() {
        let (mut left, mut right) = (Canonical::new(), Canonical::new());
        left.text("ab").text("c");
        right.text("a").text("bc");
        assert_ne!(left, right);
    }
}

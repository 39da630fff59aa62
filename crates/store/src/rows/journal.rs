//! The journal.

use domain::journal::{Digest32, Entry, Object, ObjectKind};

use super::{Cells, Columns, Decode, Decoder, Encode, Encoder, Sink, Table};
use crate::error::StoreError;
use crate::queries::StoredEntry;

const COLUMNS: &Columns = &Columns {
    table: "journal",
    fixed: &[
        "sequence",
        "occurred_at",
        "actor",
        "act",
        "object_kind",
        "object_id",
        "subject",
        "state_mac",
        "previous_hash",
        "hash",
    ],
    changing: &[],
};

/// An entry that is about to be stored.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    /// What happened.
    pub(crate) entry: &'a Entry,
    /// The entry's hash.
    pub(crate) hash: Digest32,
}

impl Table for NewEntry<'_> {
    const COLUMNS: &'static Columns = COLUMNS;
}

impl Table for StoredEntry {
    const COLUMNS: &'static Columns = COLUMNS;
}

impl Encode for NewEntry<'_> {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let entry = self.entry;
        row.number(entry.sequence)
            .instant(entry.occurred_at)
            .optional_id(entry.actor)
            .text(&entry.act)
            .text(entry.object.kind.code())
            .id(entry.object.id)
            .optional_id(entry.subject)
            .bytes(&entry.state_mac)
            .bytes(&entry.previous_hash)
            .bytes(&self.hash);
    }
}

impl Decode for StoredEntry {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let entry = Entry {
            sequence: row.number()?,
            occurred_at: row.instant()?,
            actor: row.optional_id()?,
            act: row.text()?.to_owned(),
            object: Object { kind: row.code(ObjectKind::from_code)?, id: row.id()? },
            subject: row.optional_id()?,
            state_mac: row.array()?,
            previous_hash: row.array()?,
        };
        Ok(Self { entry, hash: row.array()? })
    }
}

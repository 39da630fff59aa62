//! Organisations, clients, issuers; settings and revoked tokens.

use domain::ids::{ClientId, IssuerId, OrganisationId};
use domain::instant::Instant;
use domain::organisation::{Client, Organisation, OrganisationKind};
use domain::product::Issuer;
use rusqlite::Connection;
use uuid::Uuid;

use super::Reader;
use super::condition::Condition;
use super::page::List;
use crate::error::StoreError;
use crate::queries::{Page, PageRequest};
use crate::record::RevokedToken;
use crate::sqlite::failure::of_table;
use crate::sqlite::statements::{SqliteTable, by_key, first, rows, value};

impl Reader {
    /// A client, whoever it belongs to: this is how a caller is recognised.
    ///
    /// # Errors
    /// The engine failed, or the row is impossible. The same holds for every method of the reader.
    pub fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        self.run(|connection| by_key(connection, &id.bytes()))
    }

    /// Every client, oldest first: servers hold their epochs in memory.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.run(|connection| rows(connection, &format!("{} ORDER BY created_at, id", Client::statements().select), []))
    }

    /// Every revoked token, also those that have expired.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn revoked_tokens(&self) -> Result<Vec<RevokedToken>, StoreError> {
        self.run(revoked_tokens)
    }

    /// A value the program remembers about itself.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|connection| value(connection, "setting", "SELECT value FROM setting WHERE name = ?1", [name]))
    }

    /// The organisation of a kind and name.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn organisation_by_name(&self, kind: OrganisationKind, name: &str) -> Result<Option<Organisation>, StoreError> {
        let sql = format!("{} WHERE kind = ?1 AND name = ?2", Organisation::statements().select);
        self.run(|connection| first(connection, &sql, (kind.code(), name)))
    }

    /// An organisation.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn organisation(&self, id: OrganisationId) -> Result<Option<Organisation>, StoreError> {
        self.run(|connection| by_key(connection, &id.bytes()))
    }

    /// Every distribution platform.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn platforms(&self, request: PageRequest) -> Result<Page<Organisation>, StoreError> {
        self.run(|connection| List::of(platforms()).page(connection, request))
    }

    /// A distribution platform.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn platform(&self, id: OrganisationId) -> Result<Option<Organisation>, StoreError> {
        self.run(|connection| List::of(platforms().and_id("id = ?", id.uuid())).single(connection))
    }

    /// The issuers that an organisation manages.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn issuers(&self, organisation_id: OrganisationId, request: PageRequest) -> Result<Page<Issuer>, StoreError> {
        self.run(|connection| List::of(managed_by(organisation_id)).page(connection, request))
    }

    /// An issuer that an organisation manages.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn issuer(&self, organisation_id: OrganisationId, id: IssuerId) -> Result<Option<Issuer>, StoreError> {
        self.run(|connection| List::of(managed_by(organisation_id).and_id("id = ?", id.uuid())).single(connection))
    }
}

fn platforms() -> Condition {
    Condition::with("kind = ?", OrganisationKind::Distributor.code().to_owned())
}

fn managed_by(organisation_id: OrganisationId) -> Condition {
    Condition::with_id("organisation_id = ?", organisation_id.uuid())
}

fn revoked_tokens(connection: &Connection) -> Result<Vec<RevokedToken>, StoreError> {
    const TABLE: &str = "revoked_token";
    let sql = "SELECT id, expires_at FROM revoked_token ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(|error| of_table(TABLE, &error))?;
    let tokens = statement
        .query_map([], |row| {
            let (id, expires_at) = (row.get(0)?, row.get(1)?);
            Ok(RevokedToken { id: Uuid::from_bytes(id), expires_at: Instant::from_micros(expires_at) })
        })
        .map_err(|error| of_table(TABLE, &error))?;
    tokens.collect::<Result<_, _>>().map_err(|error| of_table(TABLE, &error))
}

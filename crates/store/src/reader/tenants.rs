//! Organisations, clients, issuers; settings and revoked tokens.

use domain::ids::{ClientId, IssuerId, OrganisationId, ProductId};
use domain::organisation::{Client, Organisation, OrganisationKind};
use domain::product::Issuer;

use super::Reader;
use super::condition::Condition;
use super::page::List;
use super::snapshot::Snapshot;
use crate::error::StoreError;
use crate::queries::{Page, PageRequest};
use crate::record::RevokedToken;
use crate::rows::Table as _;

impl Reader {
    /// A client, whoever it belongs to: this is how a caller is recognised.
    ///
    /// # Errors
    /// The engine failed, or the row is impossible. The same holds for every method of the reader.
    pub fn client(&self, id: ClientId) -> Result<Option<Client>, StoreError> {
        self.run_at_once(|snapshot| snapshot.by_id(id.uuid()))
    }

    /// Every client, oldest first: servers hold their epochs in memory.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.run_at_once(|snapshot| snapshot.rows(&format!("{} ORDER BY created_at, id", Client::COLUMNS.select()), []))
    }

    /// Every revoked token, also those that have expired.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn revoked_tokens(&self) -> Result<Vec<RevokedToken>, StoreError> {
        self.run_at_once(revoked_tokens)
    }

    /// A value the program remembers about itself.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run_at_once(|snapshot| snapshot.value("setting", "SELECT value FROM setting WHERE name = ?", [name.into()]))
    }

    /// The setting whose name is this prefix and a product's network.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn setting_of_network(&self, prefix: &str, product_id: ProductId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM setting WHERE name = (SELECT CAST(? AS text) || network FROM product WHERE id = ?)";
        self.run_at_once(|snapshot| snapshot.value("setting", sql, [prefix.into(), product_id.uuid().into()]))
    }

    /// The organisation of a kind and name.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn organisation_by_name(&self, kind: OrganisationKind, name: &str) -> Result<Option<Organisation>, StoreError> {
        let sql = format!("{} WHERE kind = ? AND name = ?", Organisation::COLUMNS.select());
        self.run_at_once(|snapshot| snapshot.first(&sql, [kind.code().into(), name.into()]))
    }

    /// An organisation.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn organisation(&self, id: OrganisationId) -> Result<Option<Organisation>, StoreError> {
        self.run_at_once(|snapshot| snapshot.by_id(id.uuid()))
    }

    /// Every distribution platform.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn platforms(&self, request: PageRequest) -> Result<Page<Organisation>, StoreError> {
        self.run(|snapshot| List::of(platforms()).page(snapshot, request))
    }

    /// A distribution platform.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn platform(&self, id: OrganisationId) -> Result<Option<Organisation>, StoreError> {
        self.run_at_once(|snapshot| List::of(platforms().and_id("id = ?", id.uuid())).single(snapshot))
    }

    /// The issuers that an organisation manages.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn issuers(&self, organisation_id: OrganisationId, request: PageRequest) -> Result<Page<Issuer>, StoreError> {
        self.run(|snapshot| List::of(managed_by(organisation_id)).page(snapshot, request))
    }

    /// An issuer that an organisation manages.
    ///
    /// # Errors
    /// As [`Reader::client`].
    pub fn issuer(&self, organisation_id: OrganisationId, id: IssuerId) -> Result<Option<Issuer>, StoreError> {
        self.run_at_once(|snapshot| List::of(managed_by(organisation_id).and_id("id = ?", id.uuid())).single(snapshot))
    }
}

fn platforms() -> Condition {
    Condition::with("kind = ?", OrganisationKind::Distributor.code())
}

fn managed_by(organisation_id: OrganisationId) -> Condition {
    Condition::with_id("organisation_id = ?", organisation_id.uuid())
}

fn revoked_tokens(snapshot: &Snapshot<'_>) -> Result<Vec<RevokedToken>, StoreError> {
    let mut tokens = Vec::new();
    snapshot.each("revoked_token", "SELECT id, expires_at FROM revoked_token ORDER BY id", [], &mut |row| {
        let (Ok(Some(id)), Ok(Some(expires_at))) = (row.id(0), row.time(1)) else {
            return Err(StoreError::Inconsistent { table: "revoked_token", column: "expires_at", row: row.key() });
        };
        tokens.push(RevokedToken { id, expires_at });
        Ok(())
    })?;
    Ok(tokens)
}

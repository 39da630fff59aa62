//! Organisations and their clients.

use domain::organisation::{Client, Organisation, OrganisationKind};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

table!(Organisation, "organisation", fixed: ["id", "kind", "name", "created_at"], changing: []);

impl Encode for Organisation {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid()).text(self.kind.code()).text(self.name.as_str()).instant(self.created_at);
    }
}

impl Decode for Organisation {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self { id: row.id()?, kind: row.code(OrganisationKind::from_code)?, name: row.name()?, created_at: row.instant()? })
    }
}

table!(
    Client, "client",
    fixed: ["id", "organisation_id", "kind", "created_at"],
    changing: ["secret_digest", "epoch", "revoked_at"]
);

impl Encode for Client {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid())
            .id(self.organisation_id.uuid())
            .text(self.kind.code())
            .instant(self.created_at)
            .bytes(&self.secret_digest)
            .number(self.epoch)
            .optional_instant(self.revoked_at);
    }
}

impl Decode for Client {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            organisation_id: row.id()?,
            kind: row.code(OrganisationKind::from_code)?,
            created_at: row.instant()?,
            secret_digest: row.array()?,
            epoch: row.number()?,
            revoked_at: row.optional_instant()?,
        })
    }
}

//! Leases.

use domain::lease::{Lane, Lease};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

table!(Lease, "lease", fixed: ["lane"], changing: ["holder", "fencing", "expires_at", "version"]);

impl Encode for Lease {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.text(&self.lane.code())
            .id(self.holder.uuid())
            .number(self.fencing)
            .instant(self.expires_at)
            .next_version(self.version);
    }
}

impl Decode for Lease {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            lane: row.code(Lane::from_code)?,
            holder: row.id()?,
            fencing: row.number()?,
            expires_at: row.instant()?,
            version: row.number()?,
        })
    }
}

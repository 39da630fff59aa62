//! Ledger transactions, their attempts, and the signers.

use domain::ledger_transaction::{Attempt, LedgerTransaction, LedgerTransactionState, Purpose, Signer};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

const DEPLOY_FACTORY: &str = "deploy_factory";
const DEPLOY_TOKEN: &str = "deploy_token";
const EXECUTE: &str = "execute";
const FILL_GAP: &str = "fill_gap";
const LIVE: &str = "live";
const CLOSED: &str = "closed";

table!(
    LedgerTransaction, "ledger_transaction",
    fixed: ["id", "signer", "nonce", "purpose", "product_id", "valid_until_seconds", "created_at"],
    changing: ["state", "version"]
);

impl Encode for LedgerTransaction {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let (purpose, product_id, valid_until_seconds) = match self.purpose {
            Purpose::DeployFactory => (DEPLOY_FACTORY, None, None),
            Purpose::FillGap => (FILL_GAP, None, None),
            Purpose::DeployToken(product_id) => (DEPLOY_TOKEN, Some(product_id), None),
            Purpose::Execute { product_id, valid_until_seconds } => (EXECUTE, Some(product_id), Some(valid_until_seconds)),
        };
        row.id(self.id.uuid())
            .bytes(&self.signer.bytes())
            .number(self.nonce)
            .text(purpose)
            .optional_id(product_id.map(domain::ids::ProductId::uuid))
            .optional_signed(valid_until_seconds)
            .instant(self.created_at)
            .text(match self.state {
                LedgerTransactionState::Live => LIVE,
                LedgerTransactionState::Closed => CLOSED,
            })
            .next_version(self.version);
    }
}

impl Decode for LedgerTransaction {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            signer: row.address()?,
            nonce: row.number()?,
            purpose: purpose(row)?,
            created_at: row.instant()?,
            state: row.code(|code| match code {
                LIVE => Some(LedgerTransactionState::Live),
                CLOSED => Some(LedgerTransactionState::Closed),
                _ => None,
            })?,
            version: row.number()?,
        })
    }
}

fn purpose<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Purpose, StoreError> {
    let code = row.text()?;
    match (code, row.optional_id()?, row.optional_number()?) {
        (DEPLOY_FACTORY, None, None) => Ok(Purpose::DeployFactory),
        (FILL_GAP, None, None) => Ok(Purpose::FillGap),
        (DEPLOY_TOKEN, Some(product_id), None) => Ok(Purpose::DeployToken(product_id)),
        (EXECUTE, Some(product_id), Some(valid_until_seconds)) => Ok(Purpose::Execute { product_id, valid_until_seconds }),
        _ => Err(row.fault_at("purpose")),
    }
}

table!(Attempt, "attempt", fixed: ["id", "ledger_transaction_id", "raw", "hash", "created_at"], changing: []);

impl Encode for Attempt {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid()).id(self.ledger_transaction_id.uuid()).bytes(&self.raw).bytes(&self.hash).instant(self.created_at);
    }
}

impl Decode for Attempt {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            ledger_transaction_id: row.id()?,
            raw: row.bytes()?.to_vec(),
            hash: row.array()?,
            created_at: row.instant()?,
        })
    }
}

table!(Signer, "signer", fixed: ["address"], changing: ["next_nonce", "version"]);

impl Encode for Signer {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.bytes(&self.address.bytes()).number(self.next_nonce).next_version(self.version);
    }
}

impl Decode for Signer {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self { address: row.address()?, next_nonce: row.number()?, version: row.number()? })
    }
}

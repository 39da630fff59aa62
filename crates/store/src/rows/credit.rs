//! Credits and instructions.

use domain::credit::{Credit, CreditFailure, CreditState};
use domain::instruction::{Instruction, InstructionNumber, InstructionState};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

const PROCESSING: &str = CreditState::Processing.code();
const SUCCEEDED: &str = "succeeded";
const FAILED: &str = "failed";
const QUEUED: &str = "queued";
const BOUND: &str = "bound";
const JUDGED: &str = "judged";

table!(
    Credit, "credit",
    fixed: [
        "id", "investment_id", "product_id", "platform_id", "investor_id", "number", "units", "address", "created_at",
    ],
    changing: ["status", "transaction_hash", "block_number", "failure", "finished_at", "version"]
);

impl Encode for Credit {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid())
            .id(self.investment_id.uuid())
            .id(self.product_id.uuid())
            .id(self.platform_id.uuid())
            .id(self.investor_id.uuid())
            .number(self.number.get())
            .units(self.units)
            .bytes(&self.address.bytes())
            .instant(self.created_at)
            .text(self.state.code());
        match &self.state {
            CreditState::Processing => row.optional_bytes(None).optional_number(None).optional_text(None).optional_instant(None),
            CreditState::Succeeded { transaction_hash, block_number, finished_at } => {
                row.bytes(transaction_hash).number(*block_number).optional_text(None).instant(*finished_at)
            }
            CreditState::Failed { failure, finished_at } => {
                row.optional_bytes(None).optional_number(None).text(failure.code()).instant(*finished_at)
            }
        }
        .next_version(self.version);
    }
}

impl Decode for Credit {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            investment_id: row.id()?,
            product_id: row.id()?,
            platform_id: row.id()?,
            investor_id: row.id()?,
            number: row.number().map(InstructionNumber::new)?,
            units: row.units()?,
            address: row.address()?,
            created_at: row.instant()?,
            state: credit_state(row)?,
            version: row.number()?,
        })
    }
}

fn credit_state<C: Cells>(row: &mut Decoder<'_, C>) -> Result<CreditState, StoreError> {
    let code = row.text()?;
    let hash = row.optional_array()?;
    let block = row.optional_number()?;
    let failure = row.optional_code(CreditFailure::from_code)?;
    match (code, hash, block, failure, row.optional_instant()?) {
        (PROCESSING, None, None, None, None) => Ok(CreditState::Processing),
        (SUCCEEDED, Some(transaction_hash), Some(block_number), None, Some(finished_at)) => {
            Ok(CreditState::Succeeded { transaction_hash, block_number, finished_at })
        }
        (FAILED, None, None, Some(failure), Some(finished_at)) => Ok(CreditState::Failed { failure, finished_at }),
        _ => Err(row.fault_at("status")),
    }
}

table!(
    Instruction, "instruction",
    fixed: ["id", "credit_id", "product_id", "investment_id", "number", "account", "units", "created_at"],
    changing: ["state", "ledger_transaction_id", "version"]
);

impl Encode for Instruction {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let (state, ledger_transaction_id) = match self.state {
            InstructionState::Queued => (QUEUED, None),
            InstructionState::Bound(id) => (BOUND, Some(id.uuid())),
            InstructionState::Judged => (JUDGED, None),
        };
        row.id(self.id.uuid())
            .id(self.credit_id.uuid())
            .id(self.product_id.uuid())
            .id(self.investment_id.uuid())
            .number(self.number.get())
            .bytes(&self.account.bytes())
            .units(self.units)
            .instant(self.created_at)
            .text(state)
            .optional_id(ledger_transaction_id)
            .next_version(self.version);
    }
}

impl Decode for Instruction {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            credit_id: row.id()?,
            product_id: row.id()?,
            investment_id: row.id()?,
            number: row.number().map(InstructionNumber::new)?,
            account: row.address()?,
            units: row.units()?,
            created_at: row.instant()?,
            state: instruction_state(row)?,
            version: row.number()?,
        })
    }
}

fn instruction_state<C: Cells>(row: &mut Decoder<'_, C>) -> Result<InstructionState, StoreError> {
    let code = row.text()?;
    match (code, row.optional_id()?) {
        (QUEUED, None) => Ok(InstructionState::Queued),
        (BOUND, Some(id)) => Ok(InstructionState::Bound(id)),
        (JUDGED, None) => Ok(InstructionState::Judged),
        _ => Err(row.fault_at("state")),
    }
}

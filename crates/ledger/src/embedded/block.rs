//! Blocks of an embedded chain and the bytes they are kept as.

use super::codec::{Reader, Truncated, put_bytes, put_length};
use super::state::Changes;
use alloy::consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy::consensus::transaction::SignerRecoverable;
use alloy::consensus::{Receipt as EvmReceipt, ReceiptEnvelope, Transaction as _, TxEnvelope};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::primitives::{Address, B256, Bloom, Bytes, Log, LogData};
use alloy::rlp::{Decodable, Encodable};

pub(super) use alloy::consensus::Header;

/// A signed transaction whose sender was recovered from its signature.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) envelope: TxEnvelope,
    pub(super) hash: B256,
    pub(super) sender: Address,
}

/// How a transaction ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) succeeded: bool,
    pub(super) gas_used: u64,
    pub(super) logs: Vec<Log>,
}

/// A block with the outcome of each of its transactions.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) header: Header,
    pub(super) hash: B256,
    pub(super) transactions: Vec<Transaction>,
    pub(super) outcomes: Vec<Outcome>,
}

/// Why bytes are not a transaction that the chain accepts; the texts are those of common nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTransaction {
    #[error("failed to decode signed transaction: {0}")]
    Undecodable(String),
    #[error("transaction type not supported")]
    Type,
    #[error("invalid sender: invalid chain id for signer: have {have} want {want}")]
    Chain { have: u64, want: u64 },
    #[error("invalid sender: {0}")]
    Signature(String),
}

impl Transaction {
    /// Decodes raw bytes, checks the chain and recovers the sender.
    pub(super) fn from_raw(raw: &[u8], chain_id: u64) -> Result<Self, BadTransaction> {
        let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|error| BadTransaction::Undecodable(error.to_string()))?;
        match &envelope {
            TxEnvelope::Legacy(_) | TxEnvelope::Eip2930(_) | TxEnvelope::Eip1559(_) => {}
            TxEnvelope::Eip4844(_) | TxEnvelope::Eip7702(_) => return Err(BadTransaction::Type),
        }
        // A legacy signature without chain id could be replayed from any chain.
        let have = envelope.chain_id().unwrap_or(0);
        if have != chain_id {
            return Err(BadTransaction::Chain { have, want: chain_id });
        }
        let sender = envelope.recover_signer().map_err(|error| BadTransaction::Signature(error.to_string()))?;
        let hash = *envelope.hash();
        Ok(Self { envelope, hash, sender })
    }

    /// The address of the contract that it deploys where it succeeds.
    pub(super) fn deploys(&self) -> Option<Address> {
        self.envelope.is_create().then(|| self.sender.create(self.envelope.nonce()))
    }
}

impl Block {
    /// Completes a block: fills the header that executing it determines.
    pub(super) fn seal(
        mut header: Header,
        parent_state_root: B256,
        changes: &Changes,
        transactions: Vec<Transaction>,
        outcomes: Vec<Outcome>,
    ) -> Self {
        let envelopes: Vec<_> = transactions.iter().map(|tx| &tx.envelope).collect();
        let receipts = receipt_envelopes(&transactions, &outcomes);
        header.state_root = changes.commitment(parent_state_root);
        header.transactions_root = calculate_transaction_root(&envelopes);
        header.receipts_root = calculate_receipt_root(&receipts);
        header.logs_bloom = outcomes.iter().flat_map(|outcome| &outcome.logs).fold(Bloom::ZERO, |mut bloom, log| {
            bloom.accrue_log(log);
            bloom
        });
        header.gas_used = outcomes.iter().map(|outcome| outcome.gas_used).sum();
        let hash = header.hash_slow();
        Self { header, hash, transactions, outcomes }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut header = Vec::new();
        self.header.encode(&mut header);
        put_bytes(&mut out, &header);
        put_length(&mut out, self.transactions.len());
        for (transaction, outcome) in self.transactions.iter().zip(&self.outcomes) {
            put_bytes(&mut out, &transaction.envelope.encoded_2718());
            out.extend_from_slice(transaction.sender.as_slice());
            put_outcome(&mut out, outcome);
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Truncated> {
        let mut reader = Reader::new(bytes);
        let header = Header::decode(&mut reader.bytes()?).map_err(|_| Truncated)?;
        let hash = header.hash_slow();
        let count = reader.length()?;
        let (mut transactions, mut outcomes) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let envelope = TxEnvelope::decode_2718_exact(reader.bytes()?).map_err(|_| Truncated)?;
            let hash = *envelope.hash();
            let sender = Address::from(reader.array::<20>()?);
            transactions.push(Transaction { envelope, hash, sender });
            outcomes.push(read_outcome(&mut reader)?);
        }
        Ok(Self { header, hash, transactions, outcomes })
    }
}

/// The receipts as every EVM node encodes them.
pub(super) fn receipt_envelopes(transactions: &[Transaction], outcomes: &[Outcome]) -> Vec<ReceiptEnvelope> {
    let mut cumulative_gas_used = 0;
    transactions
        .iter()
        .zip(outcomes)
        .map(|(transaction, outcome)| {
            cumulative_gas_used += outcome.gas_used;
            let receipt = EvmReceipt { status: outcome.succeeded.into(), cumulative_gas_used, logs: outcome.logs.clone() };
            ReceiptEnvelope::from_typed(transaction.envelope.tx_type(), receipt)
        })
        .collect()
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome) {
    out.push(u8::from(outcome.succeeded));
    out.extend_from_slice(&outcome.gas_used.to_le_bytes());
    put_length(out, outcome.logs.len());
    for log in &outcome.logs {
        out.extend_from_slice(log.address.as_slice());
        put_length(out, log.data.topics().len());
        for topic in log.data.topics() {
            out.extend_from_slice(topic.as_slice());
        }
        put_bytes(out, &log.data.data);
    }
}

fn read_outcome(reader: &mut Reader<'_>) -> Result<Outcome, Truncated> {
    let succeeded = reader.u8()? == 1;
    let gas_used = reader.u64()?;
    let log_count = reader.length()?;
    let mut logs = Vec::new();
    for _ in 0..log_count {
        let address = Address::from(reader.array::<20>()?);
        let topic_count = reader.length()?;
        let mut topics = Vec::new();
        for _ in 0..topic_count {
            topics.push(B256::from(reader.array::<32>()?));
        }
        let data = Bytes::copy_from_slice(reader.bytes()?);
        logs.push(Log { address, data: LogData::new(topics, data).ok_or(Truncated)? });
    }
    Ok(Outcome { succeeded, gas_used, logs })
}

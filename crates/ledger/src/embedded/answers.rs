//! What the embedded chain answers as a [`Chain`].

use super::rpc_view::tips_of_newest_blocks;
use super::{BASE_FEE_PER_GAS_WEI, EmbeddedChain, Simulated, TRANSACTION_GAS_LIMIT, ready};
use crate::chain::{
    Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainError, ChainIdentity, Estimate, FeeMarket, Log, LogFilter,
    Receipt,
};
use crate::fees::median_tip;
use crate::types::{Address, TxHash};
use alloy::primitives::U256;

impl EmbeddedChain {
    pub(crate) fn block_ref_at(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        if number > self.head_number()? {
            return Ok(None);
        }
        self.block_ref(number).map(Some)
    }

    /// Gas with which the call runs, without reserve.
    pub(crate) fn estimate_at(&self, mut request: CallRequest, value: U256, number: u64) -> Result<Estimate, ChainError> {
        let most = request.gas.unwrap_or(TRANSACTION_GAS_LIMIT).min(TRANSACTION_GAS_LIMIT);
        let mut run = |gas: u64| -> Result<Simulated, ChainError> {
            request.gas = Some(gas);
            self.simulate(&request, value, number)
        };
        let first = run(most)?;
        if let CallOutcome::Reverted(data) = first.outcome {
            return Ok(Estimate::Reverted(data));
        }
        let enough_gas = |ran: Result<Simulated, ChainError>| {
            // A limit below the intrinsic cost is refused as invalid.
            ran.is_ok_and(|done| matches!(done.outcome, CallOutcome::Returned(_)))
        };
        let used = first.gas_used.min(most);
        if enough_gas(run(used)) {
            return Ok(Estimate::Gas(used));
        }
        // What is refunded must still be carried, and a call gives only 63/64 of what is left, so more is needed.
        let (mut failing, mut enough) = (used, most);
        while enough - failing > 1 + enough / 64 {
            let middle = failing + (enough - failing) / 2;
            if enough_gas(run(middle)) {
                enough = middle;
            } else {
                failing = middle;
            }
        }
        Ok(Estimate::Gas(enough))
    }

    pub(crate) fn fee_market_of(&self, tip_percentile: u8) -> Result<FeeMarket, ChainError> {
        let tips = tips_of_newest_blocks(self, tip_percentile)?;
        Ok(FeeMarket { base_fee_per_gas_wei: u128::from(BASE_FEE_PER_GAS_WEI), tip_per_gas_wei: median_tip(tips) })
    }
}

impl Chain for EmbeddedChain {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        ready(self.submit(raw))
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        ready(self.receipt_of(hash))
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        ready(self.number_at(at).and_then(|number| self.call_at(&request, number)))
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        ready(self.logs_of(filter))
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        ready(self.head_number().and_then(|number| self.block_ref(number)))
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        ready(self.finalized_number().and_then(|number| self.block_ref(number)))
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        ready(self.number_at(at).and_then(|number| self.nonce_at(address, number)))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        ready(self.number_at(at).and_then(|number| self.code_at(address, number)))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        ready(self.number_at(at).and_then(|number| self.wei_at(address, number)))
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        let genesis = self.block_ref(0);
        ready(genesis.map(|block| ChainIdentity { chain_id: self.chain_id, genesis_hash: block.hash }))
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        ready(self.block_ref_at(number))
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        ready(self.pending_nonce_of(address))
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        ready(self.head_number().and_then(|number| self.estimate_at(request, U256::ZERO, number)))
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        ready(self.fee_market_of(tip_percentile))
    }
}

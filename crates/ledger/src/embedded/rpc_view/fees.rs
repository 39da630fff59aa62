//! `eth_feeHistory`: the base fee never changes, the tips are those that were paid.

use super::params::Params;
use super::{RpcError, block_number, stored_block};
use crate::chain::ChainError;
use crate::embedded::EmbeddedChain;
use crate::embedded::block::Block;
use crate::embedded::genesis::{BASE_FEE_PER_GAS_WEI, BLOCK_GAS_LIMIT};
use crate::fees::FEE_HISTORY_BLOCKS;
use alloy::consensus::Transaction as _;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{U64, U128};
use serde_json::{Number, Value, json};

/// The most blocks of one answer.
const BLOCKS_MAX: u64 = 1_024;

/// The most percentiles of one request.
const PERCENTILES_MAX: usize = 100;

pub(super) fn history(chain: &EmbeddedChain, mut params: Params) -> Result<Value, RpcError> {
    let count = block_count(params.next_value())?;
    let newest: BlockNumberOrTag = params.required("newest block")?;
    let percentiles: Vec<Number> = params.optional("percentiles")?.unwrap_or_default();
    if percentiles.len() > PERCENTILES_MAX {
        return Err(RpcError::invalid_params("more than 100 percentiles"));
    }
    let percentiles = percentiles.iter().map(basis_points).collect::<Result<Vec<_>, _>>()?;
    if !percentiles.is_sorted() {
        return Err(RpcError::invalid_params("percentiles must not fall"));
    }
    let newest =
        block_number(chain, BlockId::Number(newest))?.ok_or_else(|| RpcError::new(-32_000, "request beyond head block"))?;
    let count = count.min(BLOCKS_MAX).min(newest + 1);
    if count == 0 {
        return Ok(json!({"oldestBlock": "0x0", "gasUsedRatio": []}));
    }
    let oldest = newest + 1 - count;
    let (mut ratios, mut rewards) = (Vec::new(), Vec::new());
    for number in oldest..=newest {
        let block = stored_block(chain, number)?;
        ratios.push(ratio(block.header.gas_used)?);
        rewards.push(paid_tips(&block, &percentiles));
    }
    let base_fees = vec![U64::from(BASE_FEE_PER_GAS_WEI); ratios.len() + 1];
    let mut answer = json!({
        "oldestBlock": U64::from(oldest),
        "baseFeePerGas": base_fees,
        "gasUsedRatio": ratios,
    });
    if let (false, Some(fields)) = (percentiles.is_empty(), answer.as_object_mut()) {
        fields.insert("reward".to_owned(), json!(rewards));
    }
    Ok(answer)
}

/// For each of the newest blocks that holds a transaction, the tip per gas at a percentile of its gas.
pub(in crate::embedded) fn tips_of_newest_blocks(chain: &EmbeddedChain, percentile: u8) -> Result<Vec<u128>, ChainError> {
    let points = u64::from(percentile.min(100)) * 100;
    let newest = chain.head_number()?;
    let mut tips = Vec::new();
    for number in newest.saturating_sub(FEE_HISTORY_BLOCKS - 1)..=newest {
        let block = chain.world()?.block(&chain.log, number)?;
        if !block.transactions.is_empty() {
            tips.extend(paid_tips(&block, &[points]).into_iter().map(|tip| tip.to::<u128>()));
        }
    }
    Ok(tips)
}

/// A number of blocks: a JSON number or a quantity.
fn block_count(value: Value) -> Result<u64, RpcError> {
    if let Some(count) = value.as_u64() {
        return Ok(count);
    }
    serde_json::from_value::<U64>(value)
        .map(|count| count.saturating_to())
        .map_err(|error| RpcError::invalid_params(format!("block count: {error}")))
}

/// A percentile in hundredths of a percent; further digits are cut.
fn basis_points(percentile: &Number) -> Result<u64, RpcError> {
    let wrong = || RpcError::invalid_params("a percentile is between 0 and 100");
    let text = percentile.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let hundredths: String = fraction.chars().chain("00".chars()).take(2).collect();
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let hundredths: u64 = hundredths.parse().map_err(|_| wrong())?;
    let points = whole.saturating_mul(100).saturating_add(hundredths);
    if points <= 10_000 { Ok(points) } else { Err(wrong()) }
}

/// Used gas as a share of the limit, to six digits, without floating-point arithmetic.
fn ratio(gas_used: u64) -> Result<Number, RpcError> {
    let millionths = u128::from(gas_used) * 1_000_000 / u128::from(BLOCK_GAS_LIMIT);
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
        .parse()
        .map_err(|_| RpcError::new(-32_603, "a ratio is no number"))
}

/// For each percentile of the block's gas, cheapest first, the tip per gas that was paid there.
fn paid_tips(block: &Block, percentiles: &[u64]) -> Vec<U128> {
    let mut tips: Vec<_> = block
        .transactions
        .iter()
        .zip(&block.outcomes)
        .map(|(transaction, outcome)| {
            let tip = transaction.envelope.effective_tip_per_gas(BASE_FEE_PER_GAS_WEI);
            (tip.unwrap_or_default(), outcome.gas_used)
        })
        .collect();
    tips.sort_unstable();
    percentiles
        .iter()
        .map(|points| {
            let wanted = u128::from(block.header.gas_used) * u128::from(*points) / 10_000;
            let mut passed = 0_u128;
            let tip = tips.iter().find(|(_, gas_used)| {
                passed += u128::from(*gas_used);
                passed >= wanted
            });
            U128::from(tip.map_or(0, |(tip, _)| *tip))
        })
        .collect()
}

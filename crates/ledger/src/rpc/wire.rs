//! What a node's answers say, read strictly: they come from outside.

use crate::chain::BlockRef;
use crate::types::{Address, B256, TxHash};
use serde_json::Value;
use std::str::FromStr;

/// An answer that is not of the agreed form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer: {0}")]
pub(super) struct Malformed(pub(super) String);

/// A log, before its topics and data are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WireLog<'a> {
    pub(super) value: &'a Value,
    pub(super) address: Address,
    pub(super) block_number: u64,
    pub(super) block_hash: B256,
    pub(super) block_time_seconds: Option<u64>,
    pub(super) tx_hash: TxHash,
    pub(super) index: u64,
}

/// A number of at most 128 bits: `0x` and hexadecimal digits.
pub(super) fn quantity(value: &Value, what: &str) -> Result<u128, Malformed> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).filter(|digits| (1..=32).contains(&digits.len()));
    // `from_str_radix` would take a sign.
    let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).ok_or_else(|| Malformed(format!("{what} is no quantity")))
}

/// A number of at most 64 bits.
pub(super) fn quantity_u64(value: &Value, what: &str) -> Result<u64, Malformed> {
    u64::try_from(quantity(value, what)?).map_err(|_| Malformed(format!("{what} is above 64 bits")))
}

/// Bytes: `0x` and an even number of hexadecimal digits.
pub(super) fn bytes(value: &Value, what: &str) -> Result<Vec<u8>, Malformed> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.and_then(|digits| hex::decode(digits).ok()).ok_or_else(|| Malformed(format!("{what} is no bytes")))
}

/// A hash or an address.
pub(super) fn fixed<T: FromStr>(value: &Value, what: &str) -> Result<T, Malformed> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| Malformed(format!("{what} has another form")))
}

/// A block; `None` where the node knows none.
pub(super) fn block(value: &Value) -> Result<Option<BlockRef>, Malformed> {
    if value.is_null() {
        return Ok(None);
    }
    Ok(Some(BlockRef {
        number: quantity_u64(&value["number"], "a block's number")?,
        hash: fixed(&value["hash"], "a block's hash")?,
        time_seconds: quantity_u64(&value["timestamp"], "a block's time")?,
    }))
}

/// A log of a block, without what may be missing from it.
pub(super) fn log(value: &Value) -> Result<WireLog<'_>, Malformed> {
    if value["removed"] == true {
        return Err(Malformed("a log that a reorganisation took back".to_owned()));
    }
    let time = &value["blockTimestamp"];
    Ok(WireLog {
        value,
        address: fixed(&value["address"], "a log's address")?,
        block_number: quantity_u64(&value["blockNumber"], "a log's block number")?,
        block_hash: fixed(&value["blockHash"], "a log's block hash")?,
        block_time_seconds: if time.is_null() { None } else { Some(quantity_u64(time, "a log's block time")?) },
        tx_hash: fixed(&value["transactionHash"], "a log's transaction")?,
        index: quantity_u64(&value["logIndex"], "a log's index")?,
    })
}

/// A log's topics and data.
pub(super) fn log_content(value: &Value) -> Result<(Vec<B256>, Vec<u8>), Malformed> {
    let topics = value["topics"].as_array().filter(|topics| topics.len() <= 4);
    let topics = topics.ok_or_else(|| Malformed("a log's topics are no list of at most four".to_owned()))?;
    let topics = topics.iter().map(|topic| fixed(topic, "a topic")).collect::<Result<_, _>>()?;
    Ok((topics, bytes(&value["data"], "a log's data")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_hexadecimal_and_bounded() {
        let read = |value: Value| quantity(&value, "x").ok();
        assert_eq!(read(json!("0x0")), Some(0));
        assert_eq!(read(json!("0xff")), Some(255));
        assert_eq!(read(json!("0xffffffffffffffffffffffffffffffff")), Some(u128::MAX));
        for wrong in [
            json!("0x"),
            json!("ff"),
            json!("0x+1"),
            json!("0x-1"),
            json!("0xg"),
            json!(5),
            json!(null),
            json!("0x100000000000000000000000000000000"),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        assert!(quantity_u64(&json!("0x10000000000000000"), "x").is_err());
    }

    #[test]
    fn a_block_needs_its_three_fields_and_null_is_none() {
        let hash = format!("0x{}", "ab".repeat(32));
        let whole = json!({"number": "0x5", "hash": hash, "timestamp": "0x9", "other": [1]});
        assert_eq!(block(&whole), Ok(Some(BlockRef { number: 5, hash: B256([0xab; 32]), time_seconds: 9 })));
        assert_eq!(block(&Value::Null), Ok(None));
        for field in ["number", "hash", "timestamp"] {
            let mut part = whole.clone();
            part[field] = Value::Null;
            assert!(block(&part).is_err(), "{field}");
        }
        assert!(block(&json!([])).is_err());
        assert!(block(&json!("0x5")).is_err());
    }

    #[test]
    fn a_log_that_was_taken_back_or_lacks_a_field_is_refused() {
        let hash = format!("0x{}", "ab".repeat(32));
        let whole = json!({
            "address": format!("0x{}", "01".repeat(20)), "blockNumber": "0x5", "blockHash": hash, "transactionHash": hash,
            "logIndex": "0x0", "topics": [hash], "data": "0x0102", "removed": false,
        });
        assert_eq!(log(&whole).unwrap().block_time_seconds, None);
        assert_eq!(log_content(&whole), Ok((vec![B256([0xab; 32])], vec![1, 2])));
        for (field, wrong) in [
            ("removed", json!(true)),
            ("address", json!("0x01")),
            ("blockNumber", json!("pending")),
            ("blockHash", Value::Null),
            ("transactionHash", Value::Null),
            ("logIndex", Value::Null),
            ("blockTimestamp", json!(7)),
        ] {
            let mut changed = whole.clone();
            changed[field] = wrong;
            assert!(log(&changed).is_err(), "{field}");
        }
        for (field, wrong) in [("topics", json!([1])), ("topics", json!([hash, hash, hash, hash, hash])), ("data", json!("0x1"))]
        {
            let mut changed = whole.clone();
            changed[field] = wrong;
            assert!(log_content(&changed).is_err(), "{field}");
        }
    }
}

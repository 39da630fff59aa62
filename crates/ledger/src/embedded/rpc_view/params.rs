//! Parameters by position.

use super::RpcError;
use alloy::eips::BlockId;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::vec::IntoIter;

pub(super) struct Params {
    rest: IntoIter<Value>,
}

impl Params {
    pub(super) fn new(params: Vec<Value>) -> Self {
        Self { rest: params.into_iter() }
    }

    /// The next parameter as it stands; `Null` where it is missing.
    pub(super) fn next_value(&mut self) -> Value {
        self.rest.next().unwrap_or(Value::Null)
    }

    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, RpcError> {
        self.optional(name)?.ok_or_else(|| RpcError::invalid_params(format!("missing: {name}")))
    }

    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, RpcError> {
        let value = self.next_value();
        if value.is_null() {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(|error| RpcError::invalid_params(format!("{name}: {error}")))
    }

    /// The block to read at; the newest where none is named.
    pub(super) fn block(&mut self) -> Result<BlockId, RpcError> {
        Ok(self.optional("block")?.unwrap_or_default())
    }

    /// Refuses to simulate with a state that does not exist.
    pub(super) fn refuse_overrides(&mut self) -> Result<(), RpcError> {
        let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        if self.rest.all(|value| empty(&value)) { Ok(()) } else { Err(RpcError::invalid_params("overrides are not supported")) }
    }
}

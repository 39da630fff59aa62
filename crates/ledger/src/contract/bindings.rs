//! The contracts' ABI and their committed artifacts.

use alloy::sol;
use std::sync::LazyLock;

sol! {
    #[derive(Debug)]
    struct Terms {
        bytes32 productId;
        string name;
        string symbol;
        uint96 cap;
        bytes32 termsHash;
        uint64 lockInUntil;
        address registrar;
    }

    interface ScripFactory {
        function deploy(bytes32 salt, Terms calldata terms) external returns (address token);
        function tokenOf(bytes32 salt) external view returns (address);
        function predict(bytes32 salt, Terms calldata terms) external view returns (address);
    }

    interface ScripToken {
        event Executed(bytes32 before, bytes32 afterHash, bytes records);

        error Expired(uint64 validUntil);
        error BadLength(uint256 length);
        error NotRegistrar(address caller);

        function execute(uint64 validUntil, bytes calldata items) external returns (bytes memory outcomes);
        function applied(uint64 number) external view returns (bool);
        function runningHash() external view returns (bytes32);
        function issuedTotal() external view returns (uint96);
        function cap() external view returns (uint96);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function keyOf(bytes16 id) external view returns (bytes32);
        function registrar() external view returns (address);
    }
}

/// A compiled contract.
pub(super) struct Artifact {
    /// Initialisation code, without arguments.
    pub(super) bytecode: Vec<u8>,
    /// Runtime code. Neither contract has immutable values, so this is what lies at its address.
    pub(super) deployed_bytecode: Vec<u8>,
}

pub(super) static TOKEN: LazyLock<Artifact> =
    LazyLock::new(|| parse(include_str!("../../../../contracts/artifacts/ScripToken.json")));

pub(super) static FACTORY: LazyLock<Artifact> =
    LazyLock::new(|| parse(include_str!("../../../../contracts/artifacts/ScripFactory.json")));

/// Reads an artifact. The files are part of the program and a test reads them, so one that cannot be read is not met;
/// without code every deployment would be refused by the chain.
fn parse(text: &str) -> Artifact {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let code = |name: &str| {
        json.get(name)
            .and_then(serde_json::Value::as_str)
            .and_then(|text| hex::decode(text.trim_start_matches("0x")).ok())
            .unwrap_or_default()
    };
    Artifact { bytecode: code("bytecode"), deployed_bytecode: code("deployedBytecode") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_artifacts_hold_code_without_immutable_values() {
        for artifact in [&*TOKEN, &*FACTORY] {
            assert!(artifact.deployed_bytecode.len() > 1_000);
            let deployed = artifact.deployed_bytecode.as_slice();
            let within = artifact.bytecode.windows(deployed.len()).any(|window| window == deployed);
            assert!(within, "the runtime code is not part of the initialisation code as it stands");
        }
    }
}

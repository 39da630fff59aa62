// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ScripToken, Terms} from "./ScripToken.sol";

/// @title Deploys the tokens of one network, at most one for each salt.
/// @notice A token's address follows from the salt and the terms (CREATE2), so it is known before the first send. Only
/// the operator, at first the deployer, can deploy: otherwise anybody could take a product's salt with terms of theirs.
/// The operator has no power over a token once it exists.
contract ScripFactory {
    address public operator;

    /// The token of a salt; zero if there is none.
    mapping(bytes32 salt => address token) public tokenOf;

    event TokenDeployed(bytes32 indexed salt, address token);
    event OperatorChanged(address indexed before, address indexed next);

    error NotOperator(address caller);

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _;
    }

    constructor() {
        operator = msg.sender;
        emit OperatorChanged(address(0), msg.sender);
    }

    /// Deploys the token of the salt. If there is one already, answers it and does nothing, whatever the terms.
    function deploy(bytes32 salt, Terms calldata terms) external onlyOperator returns (address token) {
        token = tokenOf[salt];
        if (token != address(0)) return token;
        token = address(new ScripToken{salt: salt}(terms));
        tokenOf[salt] = token;
        emit TokenDeployed(salt, token);
    }

    function setOperator(address next) external onlyOperator {
        emit OperatorChanged(operator, next);
        operator = next;
    }

    /// The address a token with this salt and these terms has or would have. `tokenOf` says whether one is there: the
    /// salt may have been used with other terms.
    function predict(bytes32 salt, Terms calldata terms) external view returns (address) {
        bytes32 initCodeHash = keccak256(abi.encodePacked(type(ScripToken).creationCode, abi.encode(terms)));
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, initCodeHash)))));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// The wire form of the registrar's instructions. These numbers are an interface: they are only ever added to.

// Bytes of one packed item: kind 1 | number 8 | id 16 | account 20 | units 12 | counterparty 20, big-endian.
uint256 constant ITEM_BYTES = 77;

// Bytes of one record in the `Executed` event: the item, then its outcome.
uint256 constant RECORD_BYTES = 78;

// Domain of the instruction keys, see `ScripToken.keyOf`.
bytes20 constant KEY_TAG = "scrip.instruction.v1";

/// One instruction, unpacked.
struct Item {
    uint8 kind;
    uint64 number;
    bytes16 id;
    address account;
    uint96 units;
    address counterparty;
}

/// What an instruction orders.
library Kind {
    uint8 internal constant ISSUE = 1;
    uint8 internal constant WITHDRAW = 2;
    uint8 internal constant REDEEM = 3;
    uint8 internal constant FORCED_TRANSFER = 4;
    uint8 internal constant RECOVER = 5;
    uint8 internal constant BLOCK = 6;
    uint8 internal constant UNBLOCK = 7;
    uint8 internal constant FREEZE = 8;
    uint8 internal constant UNFREEZE = 9;
    uint8 internal constant REGISTER = 10;
    uint8 internal constant SET_RECEIVING = 11;
}

/// What became of an instruction. Everything from BLOCKED_ACCOUNT on is a skip: no effect, and the number stays free.
library Outcome {
    uint8 internal constant APPLIED = 0;
    uint8 internal constant ALREADY_APPLIED = 1;
    uint8 internal constant BLOCKED_ACCOUNT = 2;
    uint8 internal constant FORBIDDEN_ADDRESS = 3;
    uint8 internal constant CAP_EXCEEDED = 4;
    uint8 internal constant INSUFFICIENT_BALANCE = 5;
    uint8 internal constant UNKNOWN_KIND = 6;
    uint8 internal constant ZERO_UNITS = 7;
    uint8 internal constant NOT_REGISTERED = 8;
    // Reserved: a pause binds holders, not the registrar, so no instruction ends with it.
    uint8 internal constant PAUSED = 9;
    uint8 internal constant RECEIVING_DISABLED = 10;
    uint8 internal constant INVALID_ARGUMENT = 11;
}

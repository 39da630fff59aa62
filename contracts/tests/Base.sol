// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ITEM_BYTES, Item} from "../src/Instruction.sol";
import {ScripToken, Terms} from "../src/ScripToken.sol";

struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

/// The part of forge's cheatcodes that these tests use.
interface Vm {
    function assertEq(uint256 left, uint256 right, string calldata what) external pure;
    function assertEq(address left, address right, string calldata what) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata what) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata what) external pure;
    function assertEq(string calldata left, string calldata right, string calldata what) external pure;
    function assertEq(bool left, bool right, string calldata what) external pure;
    function assertTrue(bool condition, string calldata what) external pure;
    function assertFalse(bool condition, string calldata what) external pure;
    function assertLe(uint256 left, uint256 right, string calldata what) external pure;
    function assertGe(uint256 left, uint256 right, string calldata what) external pure;
    function chainId(uint256 id) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function expectRevert(bytes calldata reason) external;
    function getRecordedLogs() external returns (Log[] memory logs);
    function prank(address sender) external;
    function recordLogs() external;
    function warp(uint256 timestamp) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// Prints a label and a number in the runner's output.
function print(string memory label, uint256 value) view {
    (bool sent,) = address(0x000000000000000000636F6e736F6c652e6c6f67).staticcall(
        abi.encodeWithSignature("log(string,uint256)", label, value)
    );
    require(sent);
}

function pack(Item memory item) pure returns (bytes memory) {
    return abi.encodePacked(item.kind, item.number, item.id, item.account, item.units, item.counterparty);
}

/// The running hash after the given one, from the text of the interface rather than from the contract's code.
function refold(bytes32 hash, address token, bytes memory record) view returns (bytes32) {
    bytes memory number = slice(record, 1, 8);
    bytes memory id = slice(record, 9, 16);
    bytes memory account = slice(record, 25, 20);
    bytes memory units = slice(record, 45, 12);
    bytes memory counterparty = slice(record, 57, 20);
    bytes32 key = keccak256(bytes.concat("scrip.instruction.v1", bytes32(block.chainid), bytes20(token), id));
    return keccak256(bytes.concat(hash, record[0], number, key, account, counterparty, units, record[77]));
}

/// Folds all records of one `Executed` event; repeats are left out.
function refoldAll(bytes32 hash, address token, bytes memory records) view returns (bytes32) {
    for (uint256 start = 0; start < records.length; start += ITEM_BYTES + 1) {
        if (records[start + ITEM_BYTES] != 0x01) hash = refold(hash, token, slice(records, start, ITEM_BYTES + 1));
    }
    return hash;
}

function slice(bytes memory data, uint256 start, uint256 length) pure returns (bytes memory part) {
    part = new bytes(length);
    for (uint256 i = 0; i < length; ++i) {
        part[i] = data[start + i];
    }
}

/// A token, its actors and the shorthand to order something of it.
abstract contract Base {
    address internal constant REGISTRAR = address(0xa11ce00000000000000000000000000000000001);
    address internal constant ANNA = address(0xa77A000000000000000000000000000000000002);
    address internal constant BERT = address(0xbE27000000000000000000000000000000000003);
    address internal constant CARL = address(0xCa21000000000000000000000000000000000004);
    address internal constant STRANGER = address(0x57aA000000000000000000000000000000000005);
    address internal constant NONE = address(0);

    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant LOCK_IN_UNTIL = START + 30 days;
    uint96 internal constant CAP = 1000;

    ScripToken internal token;
    uint64 internal nextNumber;

    function setUp() public virtual {
        vm.warp(START);
        token = new ScripToken(terms());
    }

    function terms() internal pure returns (Terms memory) {
        return Terms({
            productId: bytes32(bytes16(0x0190f3a2b4c57d8e9fa0b1c2d3e4f506)),
            name: "Solar 2030",
            symbol: "SOL30",
            cap: CAP,
            termsHash: keccak256("terms"),
            lockInUntil: 0,
            registrar: REGISTRAR
        });
    }

    function idOf(uint64 number) internal pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("id", number)));
    }

    function item(uint8 kind, address account, uint96 units, address counterparty) internal returns (Item memory) {
        uint64 number = nextNumber++;
        return Item(kind, number, idOf(number), account, units, counterparty);
    }

    function run(bytes memory items) internal returns (bytes memory) {
        vm.prank(REGISTRAR);
        return token.execute(uint64(block.timestamp), items);
    }

    /// Orders one thing under the next number and says what became of it.
    function order(uint8 kind, address account, uint96 units, address counterparty) internal returns (uint8) {
        return uint8(run(pack(item(kind, account, units, counterparty)))[0]);
    }

    function order(uint8 kind, address account, uint96 units) internal returns (uint8) {
        return order(kind, account, units, NONE);
    }

    function order(uint8 kind, address account) internal returns (uint8) {
        return order(kind, account, 0, NONE);
    }

    /// Orders one thing and fails unless it is applied.
    function apply_(uint8 kind, address account, uint96 units, address counterparty) internal {
        uint64 number = nextNumber;
        vm.assertEq(order(kind, account, units, counterparty), 0, "is applied");
        vm.assertTrue(token.applied(number), "its number is taken");
    }

    function apply_(uint8 kind, address account, uint96 units) internal {
        apply_(kind, account, units, NONE);
    }

    function apply_(uint8 kind, address account) internal {
        apply_(kind, account, 0, NONE);
    }

    /// Orders one thing that must be skipped with this outcome: no effect but on the running hash, the number free.
    function skip(uint8 outcome, uint8 kind, address account, uint96 units, address counterparty) internal {
        uint64 number = nextNumber;
        bytes32 before = token.runningHash();
        bytes32 accounts = picture(account, counterparty);
        vm.assertEq(order(kind, account, units, counterparty), outcome, "the outcome of the skip");
        vm.assertFalse(token.applied(number), "its number stays free");
        vm.assertEq(picture(account, counterparty), accounts, "nothing else changed");
        vm.assertTrue(token.runningHash() != before, "it is in the running hash");
    }

    function skip(uint8 outcome, uint8 kind, address account, uint96 units) internal {
        skip(outcome, kind, account, units, NONE);
    }

    function skip(uint8 outcome, uint8 kind, address account) internal {
        skip(outcome, kind, account, 0, NONE);
    }

    function picture(address account, address counterparty) internal view returns (bytes32) {
        return keccak256(abi.encode(state(account), state(counterparty), token.totalSupply(), token.issuedTotal()));
    }

    function state(address account) internal view returns (bytes memory) {
        return abi.encode(
            token.balanceOf(account),
            token.getFrozenTokens(account),
            token.isRegistered(account),
            token.isFrozen(account),
            token.receivingEnabled(account)
        );
    }

    function assertState(
        address account,
        uint256 balance,
        uint256 frozen,
        bool registered,
        bool blocked,
        bool receiving
    ) internal view {
        vm.assertEq(token.balanceOf(account), balance, "balance");
        vm.assertEq(token.getFrozenTokens(account), frozen, "frozen");
        vm.assertEq(token.isRegistered(account), registered, "registered");
        vm.assertEq(token.isFrozen(account), blocked, "blocked");
        vm.assertEq(token.receivingEnabled(account), receiving, "receiving");
    }

    function assertTotals(uint256 supply, uint256 issued) internal view {
        vm.assertEq(token.totalSupply(), supply, "totalSupply");
        vm.assertEq(token.issuedTotal(), issued, "issuedTotal");
    }
}

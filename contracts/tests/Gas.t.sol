// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Item, Kind} from "../src/Instruction.sol";
import {Base, pack, print, vm} from "./Base.sol";
import {ScripToken, Terms} from "../src/ScripToken.sol";

/// What issuing to new holders costs, everything included: transaction base, calldata, execution on cold storage.
contract GasTest is Base {
    uint256 private constant LIMIT_PER_ITEM = 30_000;

    ScripToken private used;

    function setUp() public override {
        super.setUp();
        used = new ScripToken(withCap());
        token = used;
        bytes memory first = batch(1, 1, "before");
        run(first);
        token = new ScripToken(withCap());
    }

    function test_gas_per_item_in_a_batch_of_100() public {
        token = used;
        measure("gas per new holder, batch of 100", 100, 1 << 40);
    }

    function test_gas_per_item_in_the_first_batch_of_a_token() public {
        measure("gas per new holder, batch of 100, first of the token", 100, 1 << 40);
    }

    function test_gas_per_item_when_the_numbers_cross_a_word() public {
        token = used;
        measure("gas per new holder, batch of 100, two bitmap words", 100, (1 << 40) + 200);
    }

    function test_gas_per_item_in_a_batch_of_200() public {
        token = used;
        measure("gas per new holder, batch of 200", 200, 1 << 40);
    }

    function withCap() private pure returns (Terms memory t) {
        t = terms();
        t.cap = 1_000_000_000;
    }

    function batch(uint256 count, uint64 firstNumber, string memory seed) private pure returns (bytes memory items) {
        for (uint64 i = 0; i < count; ++i) {
            address account = address(bytes20(keccak256(abi.encode(seed, i))));
            items = bytes.concat(items, pack(Item(Kind.ISSUE, firstNumber + i, idOf(i), account, 1234, NONE)));
        }
    }

    function measure(string memory label, uint256 count, uint64 firstNumber) private {
        bytes memory call_ = abi.encodeCall(ScripToken.execute, (START, batch(count, firstNumber, "holder")));
        uint256 intrinsic = 21_000;
        for (uint256 i = 0; i < call_.length; ++i) {
            intrinsic += call_[i] == 0 ? 4 : 16;
        }
        address target = address(token);
        vm.prank(REGISTRAR);
        uint256 before = gasleft();
        (bool done, bytes memory answer) = target.call(call_);
        uint256 total = before - gasleft() + intrinsic;
        vm.assertTrue(done, "executes");
        vm.assertEq(abi.decode(answer, (bytes)), new bytes(count), "all applied");
        print(label, total / count);
        vm.assertLe(total / count, LIMIT_PER_ITEM, label);
    }
}

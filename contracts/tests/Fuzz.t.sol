// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Item} from "../src/Instruction.sol";
import {Base, pack, refold, refoldAll, vm} from "./Base.sol";
import {Generator, Model} from "./Model.sol";

/// `execute` against the model.
contract FuzzTest is Base {
    /// Three batches, the last of which repeats the first, with everything that can be read compared at the end.
    function testFuzz_execute_does_what_the_model_does(uint256 seed) public {
        address[] memory among = Generator.accounts(address(token), token.factory());
        Model model = new Model(CAP, address(token), token.factory());
        bytes32 hash;
        for (uint256 round = 0; round < 3; ++round) {
            uint256 batchSeed = uint256(keccak256(abi.encode(seed, round % 2)));
            (Item[] memory items, bytes memory packed) = Generator.batch(batchSeed, batchSeed % 16, among);
            bytes memory expected = new bytes(items.length);
            bytes memory records;
            for (uint256 i = 0; i < items.length; ++i) {
                expected[i] = bytes1(model.run(items[i]));
                records = bytes.concat(records, pack(items[i]), expected[i]);
            }
            hash = refoldAll(hash, address(token), records);
            vm.assertEq(run(packed), expected, "outcomes");
            for (uint256 i = 0; i < items.length; ++i) {
                uint64 number = items[i].number;
                vm.assertEq(token.applied(number), model.applied(number), "applied");
                vm.assertEq(token.applied(number + 1), model.applied(number + 1), "its neighbour");
            }
        }
        vm.assertEq(token.runningHash(), hash, "running hash");
        assertTotals(model.supply(), model.issued());
        for (uint256 i = 0; i < among.length; ++i) {
            address a = among[i];
            assertState(
                a, model.balance(a), model.frozen(a), model.registered(a), model.blocked(a), model.receiving(a)
            );
        }
    }

    /// Any bytes of the right length are carried out or skipped; none makes the call fail.
    function testFuzz_one_item_of_any_bytes(Item memory any) public {
        Model model = new Model(CAP, address(token), token.factory());
        uint8 expected = model.run(any);
        bytes memory record = bytes.concat(pack(any), bytes1(expected));
        vm.assertEq(run(pack(any)), abi.encodePacked(expected), "outcome");
        vm.assertEq(token.runningHash(), refold(0, address(token), record), "running hash");
        vm.assertEq(token.applied(any.number), expected == 0, "applied");
        vm.assertEq(token.balanceOf(any.account), model.balance(any.account), "balance");
    }

    function testFuzz_any_number_is_its_own(uint64 one, uint64 other) public {
        run(pack(Item(10, one, idOf(one), ANNA, 0, NONE)));
        vm.assertTrue(token.applied(one), "taken");
        vm.assertEq(token.applied(other), other == one, "the other");
    }
}

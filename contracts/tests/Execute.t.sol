// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Item, Kind, Outcome} from "../src/Instruction.sol";
import {RegistrarRole} from "../src/RegistrarRole.sol";
import {IERC20} from "../src/IERC20.sol";
import {ScripToken} from "../src/ScripToken.sol";
import {Base, Log, pack, refold, refoldAll, slice, vm} from "./Base.sol";

/// The call itself: who, until when, what length, numbers, the running hash, the event.
contract ExecuteTest is Base {
    function test_only_the_registrar() public {
        bytes memory items = pack(item(Kind.ISSUE, ANNA, 5, NONE));
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, STRANGER));
        vm.prank(STRANGER);
        token.execute(START, items);
    }

    function test_expiry_is_the_last_good_second() public {
        bytes memory items = pack(item(Kind.ISSUE, ANNA, 5, NONE));
        vm.warp(START + 101);
        vm.expectRevert(abi.encodeWithSelector(ScripToken.Expired.selector, START + 100));
        vm.prank(REGISTRAR);
        token.execute(START + 100, items);
        vm.warp(START + 100);
        vm.prank(REGISTRAR);
        vm.assertEq(token.execute(START + 100, items), hex"00", "still in time");
    }

    function test_packed_length() public {
        bytes memory items = pack(item(Kind.ISSUE, ANNA, 5, NONE));
        vm.assertEq(items.length, 77, "an item has 77 bytes");
        uint256[4] memory lengths = [uint256(1), 76, 78, 153];
        for (uint256 i = 0; i < lengths.length; ++i) {
            bytes memory wrong = slice(bytes.concat(items, items), 0, lengths[i]);
            vm.expectRevert(abi.encodeWithSelector(ScripToken.BadLength.selector, lengths[i]));
            vm.prank(REGISTRAR);
            token.execute(START, wrong);
        }
        vm.assertEq(run(""), "", "an empty batch changes nothing");
        vm.assertEq(token.runningHash(), bytes32(0), "running hash");
    }

    function test_the_bytes_of_an_item() public {
        // kind 01 | number | id | account | units | counterparty, written out by hand
        bytes memory items = bytes.concat(
            hex"01",
            hex"0000010000000005",
            hex"0190f3a2b4c57d8e9fa0b1c2d3e4f506",
            hex"a77A000000000000000000000000000000000002",
            hex"00000000000000000000012c",
            hex"0000000000000000000000000000000000000000"
        );
        vm.assertEq(run(items), hex"00", "applied");
        vm.assertEq(token.balanceOf(ANNA), 300, "balance");
        vm.assertTrue(token.applied((1 << 40) + 5), "number");
    }

    function test_key() public {
        bytes16 id = 0x0190f3a2b4c57d8e9fa0b1c2d3e4f506;
        bytes32 key = token.keyOf(id);
        bytes memory text = bytes.concat("scrip.instruction.v1", bytes32(block.chainid), bytes20(address(token)), id);
        vm.assertEq(key, keccak256(text), "key");
        vm.chainId(block.chainid + 1);
        vm.assertTrue(token.keyOf(id) != key, "another chain, another key");
        vm.assertTrue(new ScripToken(terms()).keyOf(id) != key, "another token, another key");
    }

    function test_running_hash_of_two_known_items() public {
        bytes memory one = pack(Item(Kind.ISSUE, 7, idOf(7), ANNA, 5, NONE));
        bytes memory two = pack(Item(Kind.FORCED_TRANSFER, 8, idOf(8), ANNA, 6, BERT));
        run(bytes.concat(one, two));
        bytes32 hash = keccak256(
            abi.encodePacked(bytes32(0), uint8(1), uint64(7), token.keyOf(idOf(7)), ANNA, NONE, uint96(5), uint8(0))
        );
        hash = keccak256(
            abi.encodePacked(hash, uint8(4), uint64(8), token.keyOf(idOf(8)), ANNA, BERT, uint96(6), uint8(8))
        );
        vm.assertEq(token.runningHash(), hash, "running hash");
    }

    function test_event_holds_every_item_and_outcome() public {
        run(pack(item(Kind.ISSUE, ANNA, 5, NONE)));
        bytes32 before = token.runningHash();
        bytes memory issue = pack(item(Kind.ISSUE, BERT, 6, NONE));
        bytes memory skipped = pack(item(Kind.ISSUE, BERT, 0, NONE));
        bytes memory repeated = pack(Item(Kind.ISSUE, 0, idOf(0), ANNA, 5, NONE));
        bytes memory records = bytes.concat(issue, hex"00", skipped, hex"07", repeated, hex"01");
        bytes32 afterHash = refold(before, address(token), bytes.concat(issue, hex"00"));
        afterHash = refold(afterHash, address(token), bytes.concat(skipped, hex"07"));

        vm.recordLogs();
        vm.assertEq(run(bytes.concat(issue, skipped, repeated)), hex"000701", "outcomes");
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2, "one Transfer and one Executed");
        vm.assertEq(logs[0].topics[0], IERC20.Transfer.selector, "Transfer");
        vm.assertEq(logs[1].topics[0], ScripToken.Executed.selector, "Executed");
        vm.assertEq(logs[1].data, abi.encode(before, afterHash, records), "its data");
        vm.assertEq(token.runningHash(), afterHash, "running hash");
        vm.assertEq(refoldAll(before, address(token), records), afterHash, "folds");
    }

    function test_replay_is_a_no_op_and_not_in_the_hash() public {
        bytes memory items = bytes.concat(pack(item(Kind.ISSUE, ANNA, 5, NONE)), pack(item(Kind.ISSUE, BERT, 6, NONE)));
        run(items);
        bytes32 hash = token.runningHash();
        vm.assertEq(run(items), hex"0101", "both known");
        vm.assertEq(token.runningHash(), hash, "running hash");
        assertTotals(11, 11);
        // The number decides, not what stands beside it.
        vm.assertEq(run(pack(Item(Kind.REDEEM, 0, idOf(9), BERT, 1, NONE))), hex"01", "other content");
        assertTotals(11, 11);
    }

    function test_a_number_twice_in_one_batch() public {
        bytes memory once = pack(Item(Kind.ISSUE, 300, idOf(1), ANNA, 5, NONE));
        bytes memory other = pack(Item(Kind.ISSUE, 3, idOf(1), ANNA, 7, NONE));
        vm.assertEq(run(bytes.concat(once, once, other, once, other)), hex"0001000101", "outcomes");
    }

    function test_numbers_across_words() public {
        uint64[7] memory numbers = [uint64(0), 255, 256, 511, 1 << 40, (1 << 40) + 256, type(uint64).max];
        bytes memory items;
        for (uint256 i = 0; i < numbers.length; ++i) {
            vm.assertFalse(token.applied(numbers[i]), "free before");
            items = bytes.concat(items, pack(Item(Kind.ISSUE, numbers[i], idOf(numbers[i]), ANNA, 1, NONE)));
        }
        vm.assertEq(run(items), new bytes(7), "all applied");
        for (uint256 i = 0; i < numbers.length; ++i) {
            vm.assertTrue(token.applied(numbers[i]), "taken");
        }
        vm.assertFalse(token.applied(1), "a neighbour");
        vm.assertFalse(token.applied(254), "a neighbour");
        vm.assertFalse(token.applied(257), "a neighbour");
        vm.assertFalse(token.applied((1 << 40) + 1), "a neighbour");
        vm.assertEq(token.balanceOf(ANNA), 7, "once each");
    }

    function test_a_skipped_number_can_be_used_later() public {
        bytes memory items = pack(item(Kind.WITHDRAW, ANNA, 5, NONE));
        vm.assertEq(run(items), hex"08", "unknown holder");
        apply_(Kind.ISSUE, ANNA, 5);
        vm.assertEq(run(items), hex"00", "now it can");
        vm.assertEq(run(items), hex"01", "and once only");
    }

    function test_a_skip_does_not_touch_its_neighbours() public {
        bytes memory items = bytes.concat(
            pack(item(Kind.ISSUE, ANNA, 5, NONE)),
            pack(item(Kind.ISSUE, NONE, 5, NONE)),
            pack(item(99, ANNA, 5, NONE)),
            pack(item(Kind.ISSUE, BERT, 6, NONE))
        );
        vm.assertEq(run(items), hex"00030600", "outcomes");
        vm.assertEq(token.balanceOf(ANNA), 5, "first");
        vm.assertEq(token.balanceOf(BERT), 6, "last");
    }

    function test_unknown_kinds() public {
        skip(Outcome.UNKNOWN_KIND, 0, ANNA, 5);
        skip(Outcome.UNKNOWN_KIND, 12, ANNA, 5);
        skip(Outcome.UNKNOWN_KIND, 255, ANNA, 5);
    }

    function test_pause_does_not_bind_the_registrar() public {
        vm.prank(REGISTRAR);
        token.pause();
        apply_(Kind.ISSUE, ANNA, 5);
        apply_(Kind.REGISTER, BERT);
        apply_(Kind.FORCED_TRANSFER, ANNA, 5, BERT);
        apply_(Kind.REDEEM, BERT, 5);
    }
}

/// Each kind: what it does, what it refuses.
contract KindTest is Base {
    function issued(address account, uint96 units) private {
        apply_(Kind.ISSUE, account, units);
    }

    // --- addresses and units ---

    function test_forbidden_addresses() public {
        apply_(Kind.ISSUE, ANNA, 5);
        for (uint160 precompile = 0; precompile <= 0x11; ++precompile) {
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.ISSUE, address(precompile), 5);
        }
        address[3] memory others = [address(0x100), address(token), token.factory()];
        vm.assertEq(token.factory(), address(this), "the deployer is the factory");
        for (uint256 i = 0; i < others.length; ++i) {
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.ISSUE, others[i], 5);
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.REGISTER, others[i]);
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.BLOCK, others[i]);
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.FORCED_TRANSFER, ANNA, 5, others[i]);
            skip(Outcome.FORBIDDEN_ADDRESS, Kind.RECOVER, ANNA, 0, others[i]);
        }
        apply_(Kind.ISSUE, address(0x12), 5);
        apply_(Kind.ISSUE, address(0xff), 5);
        apply_(Kind.ISSUE, address(0x101), 5);
    }

    function test_zero_units() public {
        issued(ANNA, 5);
        issued(BERT, 5);
        uint8[6] memory kinds = [
            Kind.ISSUE, Kind.WITHDRAW, Kind.REDEEM, Kind.FORCED_TRANSFER, Kind.FREEZE, Kind.UNFREEZE
        ];
        for (uint256 i = 0; i < kinds.length; ++i) {
            skip(Outcome.ZERO_UNITS, kinds[i], ANNA, 0, BERT);
        }
    }

    function test_kinds_that_need_a_registered_account() public {
        apply_(Kind.REGISTER, BERT);
        skip(Outcome.NOT_REGISTERED, Kind.WITHDRAW, ANNA, 1);
        skip(Outcome.NOT_REGISTERED, Kind.REDEEM, ANNA, 1);
        skip(Outcome.NOT_REGISTERED, Kind.FORCED_TRANSFER, ANNA, 1, BERT);
        skip(Outcome.NOT_REGISTERED, Kind.RECOVER, ANNA, 0, BERT);
        skip(Outcome.NOT_REGISTERED, Kind.FREEZE, ANNA, 1);
        skip(Outcome.NOT_REGISTERED, Kind.UNFREEZE, ANNA, 1);
        skip(Outcome.NOT_REGISTERED, Kind.SET_RECEIVING, ANNA, 1);
    }

    // --- issue ---

    function test_issue_registers_a_new_holder() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(NONE, ANNA, 5);
        issued(ANNA, 5);
        assertState(ANNA, 5, 0, true, false, true);
        assertTotals(5, 5);
        issued(ANNA, 6);
        assertState(ANNA, 11, 0, true, false, true);
        assertTotals(11, 11);
    }

    function test_issue_up_to_the_cap_and_not_one_more() public {
        issued(ANNA, CAP - 1);
        skip(Outcome.CAP_EXCEEDED, Kind.ISSUE, BERT, 2);
        skip(Outcome.CAP_EXCEEDED, Kind.ISSUE, BERT, type(uint96).max);
        issued(BERT, 1);
        skip(Outcome.CAP_EXCEEDED, Kind.ISSUE, BERT, 1);
        assertTotals(CAP, CAP);
    }

    function test_cap_within_one_batch() public {
        bytes memory half = pack(item(Kind.ISSUE, ANNA, CAP / 2, NONE));
        bytes memory rest = pack(item(Kind.ISSUE, BERT, CAP / 2, NONE));
        vm.assertEq(run(bytes.concat(half, rest, pack(item(Kind.ISSUE, CARL, 1, NONE)))), hex"000004", "outcomes");
    }

    function test_redeemed_units_stay_under_the_cap_withdrawn_ones_do_not() public {
        issued(ANNA, CAP);
        apply_(Kind.REDEEM, ANNA, 10);
        skip(Outcome.CAP_EXCEEDED, Kind.ISSUE, ANNA, 1);
        apply_(Kind.WITHDRAW, ANNA, 10);
        apply_(Kind.ISSUE, ANNA, 10);
        skip(Outcome.CAP_EXCEEDED, Kind.ISSUE, ANNA, 1);
        assertTotals(CAP - 10, CAP);
    }

    function test_issue_to_a_blocked_account() public {
        apply_(Kind.BLOCK, ANNA);
        skip(Outcome.BLOCKED_ACCOUNT, Kind.ISSUE, ANNA, 5);
        apply_(Kind.UNBLOCK, ANNA);
        issued(ANNA, 5);
    }

    function test_issue_where_receiving_is_off() public {
        issued(ANNA, 5);
        apply_(Kind.SET_RECEIVING, ANNA, 0);
        skip(Outcome.RECEIVING_DISABLED, Kind.ISSUE, ANNA, 5);
        apply_(Kind.SET_RECEIVING, ANNA, 1);
        issued(ANNA, 5);
    }

    // --- withdraw, redeem ---

    function test_withdraw_lowers_both_totals() public {
        issued(ANNA, 10);
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, NONE, 4);
        apply_(Kind.WITHDRAW, ANNA, 4);
        assertState(ANNA, 6, 0, true, false, true);
        assertTotals(6, 6);
    }

    function test_redeem_lowers_the_supply_only() public {
        issued(ANNA, 10);
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, NONE, 4);
        apply_(Kind.REDEEM, ANNA, 4);
        assertState(ANNA, 6, 0, true, false, true);
        assertTotals(6, 10);
    }

    function test_burn_more_than_there_is() public {
        issued(ANNA, 10);
        issued(BERT, 10);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.WITHDRAW, ANNA, 11);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.REDEEM, ANNA, 11);
        apply_(Kind.REDEEM, ANNA, 10);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.REDEEM, ANNA, 1);
    }

    function test_burn_takes_unfrozen_units_first() public {
        issued(ANNA, 10);
        apply_(Kind.FREEZE, ANNA, 6);
        apply_(Kind.WITHDRAW, ANNA, 4);
        assertState(ANNA, 6, 6, true, false, true);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensUnfrozen(ANNA, 1);
        apply_(Kind.REDEEM, ANNA, 1);
        assertState(ANNA, 5, 5, true, false, true);
    }

    function test_burn_from_a_blocked_account() public {
        issued(ANNA, 10);
        apply_(Kind.BLOCK, ANNA);
        apply_(Kind.REDEEM, ANNA, 10);
        assertState(ANNA, 0, 0, true, true, true);
    }

    // --- forced transfer ---

    function test_forced_transfer_takes_frozen_units_of_a_blocked_account() public {
        issued(ANNA, 10);
        apply_(Kind.FREEZE, ANNA, 6);
        apply_(Kind.BLOCK, ANNA);
        apply_(Kind.REGISTER, BERT);
        apply_(Kind.FORCED_TRANSFER, ANNA, 3, BERT);
        assertState(ANNA, 7, 6, true, true, true);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensUnfrozen(ANNA, 4);
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, BERT, 5);
        apply_(Kind.FORCED_TRANSFER, ANNA, 5, BERT);
        assertState(ANNA, 2, 2, true, true, true);
        assertState(BERT, 8, 0, true, false, true);
        assertTotals(10, 10);
    }

    function test_forced_transfer_refusals() public {
        issued(ANNA, 10);
        skip(Outcome.NOT_REGISTERED, Kind.FORCED_TRANSFER, ANNA, 1, BERT);
        issued(BERT, 3);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.FORCED_TRANSFER, ANNA, 11, BERT);
        skip(Outcome.INVALID_ARGUMENT, Kind.FORCED_TRANSFER, ANNA, 1, ANNA);
        apply_(Kind.SET_RECEIVING, BERT, 0);
        skip(Outcome.RECEIVING_DISABLED, Kind.FORCED_TRANSFER, ANNA, 1, BERT);
        apply_(Kind.BLOCK, BERT);
        skip(Outcome.BLOCKED_ACCOUNT, Kind.FORCED_TRANSFER, ANNA, 1, BERT);
    }

    // --- recover ---

    function test_recover_to_a_new_wallet() public {
        issued(ANNA, 10);
        apply_(Kind.FREEZE, ANNA, 6);
        apply_(Kind.SET_RECEIVING, ANNA, 0);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensUnfrozen(ANNA, 6);
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, BERT, 10);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensFrozen(BERT, 6);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.AddressFrozen(ANNA, true, REGISTRAR);
        apply_(Kind.RECOVER, ANNA, 0, BERT);
        assertState(ANNA, 0, 0, false, true, false);
        assertState(BERT, 10, 6, true, false, false);
        assertTotals(10, 10);
    }

    function test_recover_to_a_holder_adds_up() public {
        issued(ANNA, 10);
        issued(BERT, 5);
        apply_(Kind.FREEZE, ANNA, 6);
        apply_(Kind.FREEZE, BERT, 1);
        apply_(Kind.RECOVER, ANNA, 0, BERT);
        assertState(BERT, 15, 7, true, false, true);
    }

    function test_recover_without_frozen_units_says_nothing_of_them() public {
        issued(ANNA, 10);
        vm.recordLogs();
        apply_(Kind.RECOVER, ANNA, 0, BERT);
        Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3, "Transfer, AddressFrozen, Executed");
        vm.assertEq(logs[0].topics[0], IERC20.Transfer.selector, "Transfer");
        vm.assertEq(logs[1].topics[0], ScripToken.AddressFrozen.selector, "AddressFrozen");
    }

    function test_recover_takes_a_block_along() public {
        issued(ANNA, 10);
        apply_(Kind.BLOCK, ANNA);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.AddressFrozen(BERT, true, REGISTRAR);
        apply_(Kind.RECOVER, ANNA, 0, BERT);
        assertState(BERT, 10, 0, true, true, true);
    }

    function test_recover_refusals() public {
        issued(ANNA, 10);
        skip(Outcome.INVALID_ARGUMENT, Kind.RECOVER, ANNA, 0, ANNA);
        apply_(Kind.BLOCK, BERT);
        skip(Outcome.BLOCKED_ACCOUNT, Kind.RECOVER, ANNA, 0, BERT);
        issued(CARL, 1);
        apply_(Kind.SET_RECEIVING, CARL, 0);
        skip(Outcome.RECEIVING_DISABLED, Kind.RECOVER, ANNA, 0, CARL);
        apply_(Kind.SET_RECEIVING, CARL, 1);
        apply_(Kind.RECOVER, ANNA, 0, CARL);
        // The lost wallet has nothing left to recover, and the new one must not inherit its block.
        skip(Outcome.NOT_REGISTERED, Kind.RECOVER, ANNA, 0, CARL);
        skip(Outcome.BLOCKED_ACCOUNT, Kind.ISSUE, ANNA, 1);
    }

    // --- block, freeze, register, receiving ---

    function test_block_and_unblock() public {
        issued(ANNA, 10);
        apply_(Kind.FREEZE, ANNA, 2);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.AddressFrozen(ANNA, true, REGISTRAR);
        apply_(Kind.BLOCK, ANNA);
        assertState(ANNA, 10, 2, true, true, true);
        apply_(Kind.BLOCK, ANNA);
        assertState(ANNA, 10, 2, true, true, true);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.AddressFrozen(ANNA, false, REGISTRAR);
        apply_(Kind.UNBLOCK, ANNA);
        assertState(ANNA, 10, 2, true, false, true);
        apply_(Kind.BLOCK, BERT);
        assertState(BERT, 0, 0, false, true, false);
    }

    function test_freeze_and_unfreeze() public {
        issued(ANNA, 10);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensFrozen(ANNA, 6);
        apply_(Kind.FREEZE, ANNA, 6);
        assertState(ANNA, 10, 6, true, false, true);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.FREEZE, ANNA, 5);
        apply_(Kind.FREEZE, ANNA, 4);
        assertState(ANNA, 10, 10, true, false, true);
        skip(Outcome.INSUFFICIENT_BALANCE, Kind.UNFREEZE, ANNA, 11);
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.TokensUnfrozen(ANNA, 10);
        apply_(Kind.UNFREEZE, ANNA, 10);
        assertState(ANNA, 10, 0, true, false, true);
    }

    function test_register() public {
        apply_(Kind.REGISTER, ANNA);
        assertState(ANNA, 0, 0, true, false, true);
        apply_(Kind.BLOCK, BERT);
        skip(Outcome.BLOCKED_ACCOUNT, Kind.REGISTER, BERT);
        issued(CARL, 9);
        apply_(Kind.FREEZE, CARL, 2);
        apply_(Kind.SET_RECEIVING, CARL, 0);
        apply_(Kind.REGISTER, CARL);
        assertState(CARL, 9, 2, true, false, false);
    }

    function test_set_receiving() public {
        issued(ANNA, 9);
        apply_(Kind.FREEZE, ANNA, 2);
        apply_(Kind.SET_RECEIVING, ANNA, 0);
        assertState(ANNA, 9, 2, true, false, false);
        skip(Outcome.INVALID_ARGUMENT, Kind.SET_RECEIVING, ANNA, 2);
        apply_(Kind.SET_RECEIVING, ANNA, 1);
        assertState(ANNA, 9, 2, true, false, true);
    }
}

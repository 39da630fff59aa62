// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "../src/IERC20.sol";
import {Kind} from "../src/Instruction.sol";
import {RegistrarRole} from "../src/RegistrarRole.sol";
import {ScripToken, Terms} from "../src/ScripToken.sol";
import {Base, vm} from "./Base.sol";

/// What holders can do and read.
contract HolderTest is Base {
    function setUp() public override {
        super.setUp();
        apply_(Kind.ISSUE, ANNA, 10);
        apply_(Kind.REGISTER, BERT);
    }

    function test_terms_can_be_read() public view {
        Terms memory t = terms();
        vm.assertEq(token.name(), t.name, "name");
        vm.assertEq(token.symbol(), t.symbol, "symbol");
        vm.assertEq(token.decimals(), 0, "decimals");
        vm.assertEq(token.productId(), t.productId, "productId");
        vm.assertEq(token.termsHash(), t.termsHash, "termsHash");
        vm.assertEq(token.cap(), t.cap, "cap");
        vm.assertEq(token.lockInUntil(), t.lockInUntil, "lockInUntil");
        vm.assertEq(token.registrar(), t.registrar, "registrar");
        vm.assertFalse(token.paused(), "paused");
    }

    function test_code_is_the_same_for_every_product() public {
        Terms memory t = terms();
        t.productId = bytes32(uint256(1));
        t.name = "A name that is longer than thirty-one bytes, so stored apart";
        t.cap = 1;
        t.lockInUntil = LOCK_IN_UNTIL;
        t.registrar = ANNA;
        vm.assertEq(address(new ScripToken(t)).codehash, address(token).codehash, "code hash");
    }

    function test_terms_that_make_no_sense() public {
        Terms memory t = terms();
        t.registrar = NONE;
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.ZeroRegistrar.selector));
        this.create(t);
        t = terms();
        t.cap = 0;
        vm.expectRevert(abi.encodeWithSelector(ScripToken.ZeroCap.selector));
        this.create(t);
    }

    /// A call of its own, since `expectRevert` is about the next call.
    function create(Terms calldata t) external returns (ScripToken) {
        return new ScripToken(t);
    }

    function test_reads_and_their_standard_names() public {
        apply_(Kind.FREEZE, ANNA, 3);
        vm.assertEq(token.balanceOf(ANNA), 10, "balanceOf");
        vm.assertEq(token.activeBalanceOf(ANNA), 7, "activeBalanceOf");
        vm.assertEq(token.getActiveBalanceOf(ANNA), 7, "getActiveBalanceOf");
        vm.assertEq(token.frozenBalanceOf(ANNA), 3, "frozenBalanceOf");
        vm.assertEq(token.getFrozenTokens(ANNA), 3, "getFrozenTokens");
        vm.assertTrue(token.isRegistered(ANNA) && token.isVerified(ANNA), "registered");
        vm.assertFalse(token.isRegistered(STRANGER) || token.isVerified(STRANGER), "a stranger is not");
        vm.assertFalse(token.isFrozen(ANNA), "not blocked");
    }

    function test_transfer() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, BERT, 4);
        vm.prank(ANNA);
        vm.assertTrue(token.transfer(BERT, 4), "answers true");
        assertState(ANNA, 6, 0, true, false, true);
        assertState(BERT, 4, 0, true, false, true);
        assertTotals(10, 10);
    }

    function test_transfer_of_nothing_and_of_all() public {
        vm.prank(ANNA);
        token.transfer(BERT, 0);
        vm.prank(ANNA);
        token.transfer(BERT, 10);
        assertState(ANNA, 0, 0, true, false, true);
        assertState(BERT, 10, 0, true, false, true);
    }

    function test_transfer_to_oneself() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Transfer(ANNA, ANNA, 4);
        vm.prank(ANNA);
        token.transfer(ANNA, 4);
        assertState(ANNA, 10, 0, true, false, true);
        refused(ANNA, ANNA, 11, abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 10, 11));
    }

    function test_transfer_of_more_than_there_is() public {
        refused(ANNA, BERT, 11, abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 10, 11));
        uint256 wraps = (1 << 96) + 1;
        refused(
            ANNA, BERT, wraps, abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 10, wraps)
        );
    }

    function test_frozen_units_do_not_move() public {
        apply_(Kind.FREEZE, ANNA, 4);
        refused(ANNA, BERT, 7, abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 6, 7));
        vm.prank(ANNA);
        token.transfer(BERT, 6);
        assertState(ANNA, 4, 4, true, false, true);
    }

    function test_transfer_from_or_to_a_stranger() public {
        refused(STRANGER, BERT, 0, abi.encodeWithSelector(ScripToken.NotRegistered.selector, STRANGER));
        refused(ANNA, STRANGER, 1, abi.encodeWithSelector(ScripToken.NotRegistered.selector, STRANGER));
    }

    function test_transfer_from_or_to_a_blocked_account() public {
        apply_(Kind.BLOCK, BERT);
        refused(ANNA, BERT, 1, abi.encodeWithSelector(ScripToken.AccountBlocked.selector, BERT));
        apply_(Kind.UNBLOCK, BERT);
        apply_(Kind.BLOCK, ANNA);
        refused(ANNA, BERT, 1, abi.encodeWithSelector(ScripToken.AccountBlocked.selector, ANNA));
    }

    function test_transfer_where_receiving_is_off() public {
        apply_(Kind.SET_RECEIVING, BERT, 0);
        refused(ANNA, BERT, 1, abi.encodeWithSelector(ScripToken.ReceivingDisabled.selector, BERT));
        apply_(Kind.SET_RECEIVING, BERT, 1);
        apply_(Kind.SET_RECEIVING, ANNA, 0);
        vm.prank(ANNA);
        token.transfer(BERT, 1);
    }

    function test_pause() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.Paused(REGISTRAR);
        vm.prank(REGISTRAR);
        token.pause();
        vm.assertTrue(token.paused(), "paused");
        refused(ANNA, BERT, 1, abi.encodeWithSelector(ScripToken.TransfersPaused.selector));
        vm.expectEmit(true, true, true, true, address(token));
        emit ScripToken.Unpaused(REGISTRAR);
        vm.prank(REGISTRAR);
        token.unpause();
        vm.assertFalse(token.paused(), "not paused");
        vm.prank(ANNA);
        token.transfer(BERT, 1);
    }

    function test_only_the_registrar_pauses() public {
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, ANNA));
        vm.prank(ANNA);
        token.pause();
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, ANNA));
        vm.prank(ANNA);
        token.unpause();
    }

    function test_lock_in_binds_holders_until_its_second() public {
        Terms memory t = terms();
        t.lockInUntil = LOCK_IN_UNTIL;
        token = new ScripToken(t);
        apply_(Kind.ISSUE, ANNA, 10);
        apply_(Kind.ISSUE, BERT, 10);
        apply_(Kind.FORCED_TRANSFER, ANNA, 1, BERT);
        vm.warp(LOCK_IN_UNTIL - 1);
        refused(ANNA, BERT, 1, abi.encodeWithSelector(ScripToken.LockedIn.selector, LOCK_IN_UNTIL));
        vm.warp(LOCK_IN_UNTIL);
        vm.prank(ANNA);
        token.transfer(BERT, 1);
    }

    function test_allowance() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit IERC20.Approval(ANNA, STRANGER, 5);
        vm.prank(ANNA);
        vm.assertTrue(token.approve(STRANGER, 5), "answers true");
        vm.assertEq(token.allowance(ANNA, STRANGER), 5, "allowance");
        vm.prank(STRANGER);
        vm.assertTrue(token.transferFrom(ANNA, BERT, 3), "answers true");
        vm.assertEq(token.allowance(ANNA, STRANGER), 2, "used up in part");
        assertState(BERT, 3, 0, true, false, true);
        vm.expectRevert(abi.encodeWithSelector(ScripToken.ERC20InsufficientAllowance.selector, STRANGER, 2, 3));
        vm.prank(STRANGER);
        token.transferFrom(ANNA, BERT, 3);
        vm.prank(STRANGER);
        token.transferFrom(ANNA, BERT, 2);
        vm.assertEq(token.allowance(ANNA, STRANGER), 0, "used up");
    }

    function test_allowance_without_end() public {
        vm.prank(ANNA);
        token.approve(STRANGER, type(uint256).max);
        vm.prank(STRANGER);
        token.transferFrom(ANNA, BERT, 3);
        vm.assertEq(token.allowance(ANNA, STRANGER), type(uint256).max, "not used up");
    }

    function test_transfer_from_obeys_the_same_rules() public {
        vm.prank(ANNA);
        token.approve(STRANGER, 100);
        vm.expectRevert(abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 10, 11));
        vm.prank(STRANGER);
        token.transferFrom(ANNA, BERT, 11);
        vm.expectRevert(abi.encodeWithSelector(ScripToken.ERC20InsufficientAllowance.selector, STRANGER, 0, 1));
        vm.prank(STRANGER);
        token.transferFrom(BERT, ANNA, 1);
    }

    function testFuzz_approve_and_transfer_from(uint256 allowed, uint256 value) public {
        vm.prank(ANNA);
        token.approve(STRANGER, allowed);
        if (value > allowed) {
            vm.expectRevert(
                abi.encodeWithSelector(ScripToken.ERC20InsufficientAllowance.selector, STRANGER, allowed, value)
            );
        } else if (value > 10) {
            vm.expectRevert(abi.encodeWithSelector(ScripToken.ERC20InsufficientBalance.selector, ANNA, 10, value));
        }
        vm.prank(STRANGER);
        token.transferFrom(ANNA, BERT, value);
        if (value <= allowed && value <= 10) {
            vm.assertEq(token.balanceOf(BERT), value, "moved");
            vm.assertEq(token.balanceOf(ANNA), 10 - value, "left");
        }
    }

    function refused(address from, address to, uint256 value, bytes memory reason) private {
        bytes32 before = keccak256(abi.encode(state(from), state(to)));
        vm.expectRevert(reason);
        vm.prank(from);
        token.transfer(to, value);
        vm.assertEq(keccak256(abi.encode(state(from), state(to))), before, "nothing moved");
    }
}

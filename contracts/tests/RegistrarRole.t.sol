// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Kind} from "../src/Instruction.sol";
import {RegistrarRole} from "../src/RegistrarRole.sol";
import {ScripToken} from "../src/ScripToken.sol";
import {Base, vm} from "./Base.sol";

/// How the registrar role changes hands.
contract RegistrarRoleTest is Base {
    address private constant NEXT = BERT;
    address private constant GUARDIAN = CARL;
    uint64 private constant FROM = START + 2 days;

    function test_creation_names_the_first_registrar() public {
        vm.expectEmit(true, true, true, true, predictedNext());
        emit RegistrarRole.RegistrarChanged(NONE, REGISTRAR);
        new ScripToken(terms());
    }

    function test_handover_takes_two_steps_and_two_days() public {
        vm.expectEmit(true, true, true, true, address(token));
        emit RegistrarRole.RegistrarProposed(NEXT, FROM, true);
        propose(REGISTRAR, NEXT);
        assertProposal(NEXT, FROM, true);
        vm.assertEq(token.registrar(), REGISTRAR, "not yet");

        vm.warp(FROM - 1);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.TooEarly.selector, FROM));
        accept(NEXT);
        vm.warp(FROM);
        vm.expectEmit(true, true, true, true, address(token));
        emit RegistrarRole.RegistrarChanged(REGISTRAR, NEXT);
        accept(NEXT);

        vm.assertEq(token.registrar(), NEXT, "registrar");
        vm.assertEq(token.guardian(), NEXT, "the guardian's part goes along");
        vm.assertEq(token.cap(), CAP, "what shares its slot stays");
        assertProposal(NONE, 0, false);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, REGISTRAR));
        vm.prank(REGISTRAR);
        token.execute(FROM, "");
        vm.prank(NEXT);
        token.execute(FROM, "");
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotProposed.selector, NEXT));
        accept(NEXT);
    }

    function test_only_the_proposed_account_accepts() public {
        propose(REGISTRAR, NEXT);
        vm.warp(FROM);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotProposed.selector, STRANGER));
        accept(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotProposed.selector, REGISTRAR));
        accept(REGISTRAR);
    }

    function test_strangers_propose_and_cancel_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, STRANGER));
        propose(STRANGER, NEXT);
        propose(REGISTRAR, NEXT);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, STRANGER));
        cancel(STRANGER);
        assertProposal(NEXT, FROM, true);
    }

    function test_nobody_is_no_registrar() public {
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.ZeroRegistrar.selector));
        propose(REGISTRAR, NONE);
    }

    function test_cancel() public {
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NothingProposed.selector));
        cancel(REGISTRAR);
        propose(REGISTRAR, NEXT);
        vm.expectEmit(true, true, true, true, address(token));
        emit RegistrarRole.RegistrarProposalCancelled(NEXT);
        cancel(REGISTRAR);
        assertProposal(NONE, 0, false);
        vm.warp(FROM);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotProposed.selector, NEXT));
        accept(NEXT);
    }

    function test_a_second_proposal_starts_the_time_again() public {
        propose(REGISTRAR, NEXT);
        vm.warp(FROM - 1);
        propose(REGISTRAR, STRANGER);
        assertProposal(STRANGER, FROM - 1 + 2 days, true);
        vm.warp(FROM);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotProposed.selector, NEXT));
        accept(NEXT);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.TooEarly.selector, FROM - 1 + 2 days));
        accept(STRANGER);
    }

    function test_guardian_is_the_registrar_until_one_is_set() public {
        vm.assertEq(token.guardian(), REGISTRAR, "at first");
        setGuardian(REGISTRAR, GUARDIAN);
        vm.assertEq(token.guardian(), GUARDIAN, "then");
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotGuardian.selector, REGISTRAR));
        setGuardian(REGISTRAR, REGISTRAR);
        setGuardian(GUARDIAN, NONE);
        vm.assertEq(token.guardian(), REGISTRAR, "given back");
    }

    function test_guardian_replaces_the_registrar() public {
        setGuardian(REGISTRAR, GUARDIAN);
        propose(GUARDIAN, NEXT);
        assertProposal(NEXT, FROM, true);
        // Whoever has the registrar's key cannot hold it off.
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.ProposedByGuardian.selector));
        cancel(REGISTRAR);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.ProposedByGuardian.selector));
        propose(REGISTRAR, STRANGER);
        vm.warp(FROM);
        accept(NEXT);
        vm.assertEq(token.registrar(), NEXT, "registrar");
        vm.assertEq(token.guardian(), GUARDIAN, "the guardian stays");
    }

    function test_guardian_cancels_and_replaces_any_proposal() public {
        setGuardian(REGISTRAR, GUARDIAN);
        propose(REGISTRAR, NEXT);
        assertProposal(NEXT, FROM, false);
        cancel(GUARDIAN);
        propose(REGISTRAR, NEXT);
        propose(GUARDIAN, STRANGER);
        assertProposal(STRANGER, FROM, true);
        cancel(GUARDIAN);
        propose(REGISTRAR, NEXT);
        cancel(REGISTRAR);
        assertProposal(NONE, 0, false);
    }

    function test_guardian_gives_no_orders() public {
        setGuardian(REGISTRAR, GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, GUARDIAN));
        vm.prank(GUARDIAN);
        token.execute(START, "");
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotRegistrar.selector, GUARDIAN));
        vm.prank(GUARDIAN);
        token.pause();
        apply_(Kind.ISSUE, ANNA, 1);
    }

    function test_strangers_set_no_guardian() public {
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.NotGuardian.selector, STRANGER));
        setGuardian(STRANGER, STRANGER);
        vm.expectEmit(true, true, true, true, address(token));
        emit RegistrarRole.GuardianChanged(GUARDIAN);
        setGuardian(REGISTRAR, GUARDIAN);
    }

    function propose(address by, address next) private {
        vm.prank(by);
        token.proposeRegistrar(next);
    }

    function cancel(address by) private {
        vm.prank(by);
        token.cancelRegistrar();
    }

    function accept(address by) private {
        vm.prank(by);
        token.acceptRegistrar();
    }

    function setGuardian(address by, address next) private {
        vm.prank(by);
        token.setGuardian(next);
    }

    function assertProposal(address next, uint64 acceptableFrom, bool byGuardian) private view {
        (address n, uint64 f, bool g) = token.proposal();
        vm.assertEq(n, next, "proposed");
        vm.assertEq(f, acceptableFrom, "acceptable from");
        vm.assertEq(g, byGuardian, "by the guardian");
    }

    /// The address of this contract's next creation: its second, after the one in `setUp`.
    function predictedNext() private view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(this), uint8(2))))));
    }
}

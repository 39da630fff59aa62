// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Kind, Outcome} from "../src/Instruction.sol";
import {RegistrarRole} from "../src/RegistrarRole.sol";
import {ScripFactory} from "../src/ScripFactory.sol";
import {ScripToken, Terms} from "../src/ScripToken.sol";
import {Base, Log, vm} from "./Base.sol";

contract ScripFactoryTest is Base {
    ScripFactory private factory;
    bytes32 private constant SALT = keccak256("product");

    function setUp() public override {
        super.setUp();
        factory = new ScripFactory();
    }

    function test_deploys_at_the_predicted_address() public {
        address predicted = factory.predict(SALT, terms());
        vm.assertEq(predicted.code.length, 0, "nothing there yet");
        vm.assertEq(factory.tokenOf(SALT), NONE, "unknown");
        vm.expectEmit(true, true, true, true, address(factory));
        emit ScripFactory.TokenDeployed(SALT, predicted);
        address deployed = factory.deploy(SALT, terms());
        vm.assertEq(deployed, predicted, "address");
        vm.assertEq(factory.tokenOf(SALT), deployed, "tokenOf");
        vm.assertEq(deployed.codehash, address(token).codehash, "the code of any token");

        Terms memory t = terms();
        token = ScripToken(deployed);
        vm.assertEq(token.name(), t.name, "name");
        vm.assertEq(token.productId(), t.productId, "productId");
        vm.assertEq(token.cap(), t.cap, "cap");
        vm.assertEq(token.registrar(), REGISTRAR, "registrar");
        vm.assertEq(token.factory(), address(factory), "factory");
        apply_(Kind.ISSUE, ANNA, 5);
        skip(Outcome.FORBIDDEN_ADDRESS, Kind.ISSUE, address(factory), 5);
    }

    function test_a_repeat_makes_no_second_token() public {
        address first = factory.deploy(SALT, terms());
        token = ScripToken(first);
        apply_(Kind.ISSUE, ANNA, 5);
        vm.recordLogs();
        vm.assertEq(factory.deploy(SALT, terms()), first, "same terms");
        Terms memory other = terms();
        other.cap = 7;
        vm.assertEq(factory.deploy(SALT, other), first, "other terms");
        vm.assertEq(vm.getRecordedLogs().length, 0, "no events");
        vm.assertEq(factory.tokenOf(SALT), first, "tokenOf");
        vm.assertEq(token.balanceOf(ANNA), 5, "untouched");
        vm.assertEq(factory.predict(SALT, other).code.length, 0, "none at the other address");
    }

    function test_salt_and_terms_make_the_address() public view {
        address first = factory.predict(SALT, terms());
        vm.assertTrue(factory.predict(keccak256("another"), terms()) != first, "another salt");
        Terms memory other = terms();
        other.lockInUntil = 1;
        vm.assertTrue(factory.predict(SALT, other) != first, "other terms");
    }

    function test_refused_terms_leave_the_salt_free() public {
        Terms memory wrong = terms();
        wrong.registrar = NONE;
        vm.expectRevert(abi.encodeWithSelector(RegistrarRole.ZeroRegistrar.selector));
        factory.deploy(SALT, wrong);
        vm.assertEq(factory.tokenOf(SALT), NONE, "still free");
        factory.deploy(SALT, terms());
    }

    function test_only_the_operator_deploys() public {
        vm.assertEq(factory.operator(), address(this), "the deployer at first");
        vm.expectRevert(abi.encodeWithSelector(ScripFactory.NotOperator.selector, STRANGER));
        vm.prank(STRANGER);
        factory.deploy(SALT, terms());
        vm.expectRevert(abi.encodeWithSelector(ScripFactory.NotOperator.selector, STRANGER));
        vm.prank(STRANGER);
        factory.setOperator(STRANGER);

        vm.expectEmit(true, true, true, true, address(factory));
        emit ScripFactory.OperatorChanged(address(this), ANNA);
        factory.setOperator(ANNA);
        vm.expectRevert(abi.encodeWithSelector(ScripFactory.NotOperator.selector, address(this)));
        factory.deploy(SALT, terms());
        vm.prank(ANNA);
        factory.deploy(SALT, terms());
    }

    function testFuzz_predicted_address(bytes32 salt, uint96 cap, string calldata name, uint64 lockInUntil) public {
        Terms memory t = terms();
        t.cap = cap == 0 ? 1 : cap;
        t.name = name;
        t.lockInUntil = lockInUntil;
        address predicted = factory.predict(salt, t);
        vm.assertEq(factory.deploy(salt, t), predicted, "address");
        vm.assertEq(ScripToken(predicted).name(), name, "name");
        vm.assertEq(ScripToken(predicted).lockInUntil(), lockInUntil, "lockInUntil");
        vm.assertEq(ScripToken(predicted).cap(), t.cap, "cap");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Item} from "../src/Instruction.sol";
import {ScripToken, Terms} from "../src/ScripToken.sol";
import {Base, Log, print, refoldAll, vm} from "./Base.sol";
import {Generator} from "./Model.sol";

/// Does random things to the token and keeps count of what came of them. Every refusal is foretold: one that comes
/// unforetold, or does not come, fails the run.
contract Handler {
    ScripToken private immutable token;
    address private immutable registrar;
    address[] public accounts;
    bytes[] private batches;
    uint256 private calls;

    bytes32 public hash;
    mapping(uint64 => uint256) public timesApplied;
    uint64[] public numbers;
    uint256 public issued;
    uint256 public withdrawn;
    uint256 public redeemed;
    uint256[12] public itemsOf;
    uint256 public transfersDone;
    uint256 public transfersRefused;

    constructor(ScripToken token_, address registrar_) {
        token = token_;
        registrar = registrar_;
        accounts = Generator.accounts(address(token_), token_.factory());
    }

    function execute(uint256 seed) external {
        seed = mix(seed);
        (, bytes memory packed) = Generator.batch(seed, 1 + seed % 12, accounts);
        batches.push(packed);
        send(packed);
    }

    /// The same bytes once more: a ledger transaction that ran under two attempts.
    function repeat(uint256 which) external {
        if (batches.length > 0) send(batches[which % batches.length]);
    }

    function transfer(uint256 seed) external {
        seed = mix(seed);
        address from = accounts[seed % 6];
        address to = accounts[(seed >> 8) % 7];
        uint256 active = token.activeBalanceOf(from);
        uint256 value = active == 0 ? 0 : (seed >> 16) % (active + active / 4 + 1);
        bytes4 reason = foretold(from, to, value, active);
        vm.prank(from);
        (bool done, bytes memory answer) = address(token).call(abi.encodeCall(ScripToken.transfer, (to, value)));
        vm.assertEq(done, reason == 0, "transferred or refused as foretold");
        if (done) {
            transfersDone += 1;
        } else {
            transfersRefused += 1;
            vm.assertEq(bytes32(bytes4(answer)), bytes32(reason), "the foretold reason");
        }
    }

    function pauseOrNot(uint256 seed) external {
        vm.prank(registrar);
        mix(seed) % 4 == 0 ? token.pause() : token.unpause();
    }

    function numbersUsed() external view returns (uint256) {
        return numbers.length;
    }

    function foretold(address from, address to, uint256 value, uint256 active) private view returns (bytes4) {
        if (token.paused()) return ScripToken.TransfersPaused.selector;
        if (!token.isRegistered(from)) return ScripToken.NotRegistered.selector;
        if (token.isFrozen(from)) return ScripToken.AccountBlocked.selector;
        if (!token.isRegistered(to)) return ScripToken.NotRegistered.selector;
        if (token.isFrozen(to)) return ScripToken.AccountBlocked.selector;
        if (!token.receivingEnabled(to)) return ScripToken.ReceivingDisabled.selector;
        if (value > active) return ScripToken.ERC20InsufficientBalance.selector;
        return 0;
    }

    /// The runner likes small and round numbers; this spreads them, and no two calls make the same of one.
    function mix(uint256 seed) private returns (uint256) {
        return uint256(keccak256(abi.encode(seed, ++calls)));
    }

    function send(bytes memory packed) private {
        vm.recordLogs();
        vm.prank(registrar);
        token.execute(uint64(block.timestamp), packed);
        Log[] memory logs = vm.getRecordedLogs();
        Log memory last = logs[logs.length - 1];
        vm.assertEq(last.topics[0], ScripToken.Executed.selector, "Executed comes last");
        (bytes32 before, bytes32 afterHash, bytes memory records) = abi.decode(last.data, (bytes32, bytes32, bytes));
        vm.assertEq(before, hash, "the event begins where the last ended");
        vm.assertEq(records.length / 78, packed.length / 77, "every item is in it");
        hash = refoldAll(hash, address(token), records);
        vm.assertEq(afterHash, hash, "and folds to its end");
        count(records);
    }

    function count(bytes memory records) private {
        for (uint256 start = 0; start < records.length; start += 78) {
            uint8 outcome = uint8(records[start + 77]);
            itemsOf[outcome] += 1;
            if (outcome != 0) continue;
            uint64 number = uint64(read(records, start + 1, 8));
            if (timesApplied[number]++ == 0) numbers.push(number);
            uint8 kind = uint8(records[start]);
            uint256 units = read(records, start + 45, 12);
            if (kind == 1) issued += units;
            if (kind == 2) withdrawn += units;
            if (kind == 3) redeemed += units;
        }
    }

    function read(bytes memory data, uint256 start, uint256 length) private pure returns (uint256 value) {
        for (uint256 i = start; i < start + length; ++i) {
            value = value << 8 | uint8(data[i]);
        }
    }
}

contract InvariantTest is Base {
    Handler private handler;

    function setUp() public override {
        super.setUp();
        Terms memory t = terms();
        // Low enough to be met in a run.
        t.cap = 300;
        token = new ScripToken(t);
        handler = new Handler(token, REGISTRAR);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// One campaign checks all of them after every call.
    function invariant_everything_holds() public view {
        supply_is_the_sum_of_all_balances();
        totals_follow_from_the_events();
        frozen_is_part_of_the_balance();
        only_registered_accounts_hold_units_and_never_the_forbidden();
        running_hash_is_the_fold_of_the_events();
        a_number_is_applied_at_most_once();
    }

    function supply_is_the_sum_of_all_balances() private view {
        uint256 sum;
        for (uint256 i = 0; i < 9; ++i) {
            sum += token.balanceOf(handler.accounts(i));
        }
        vm.assertEq(token.totalSupply(), sum, "sum of balances");
    }

    function totals_follow_from_the_events() private view {
        uint256 issued = handler.issued() - handler.withdrawn();
        vm.assertEq(token.issuedTotal(), issued, "issued and not withdrawn");
        vm.assertEq(token.totalSupply(), issued - handler.redeemed(), "and not redeemed");
        vm.assertLe(token.issuedTotal(), token.cap(), "cap");
    }

    function frozen_is_part_of_the_balance() private view {
        for (uint256 i = 0; i < 9; ++i) {
            address a = handler.accounts(i);
            vm.assertLe(token.getFrozenTokens(a), token.balanceOf(a), "frozen");
            vm.assertEq(token.activeBalanceOf(a), token.balanceOf(a) - token.getFrozenTokens(a), "active");
        }
    }

    function only_registered_accounts_hold_units_and_never_the_forbidden() private view {
        for (uint256 i = 0; i < 9; ++i) {
            address a = handler.accounts(i);
            if (token.balanceOf(a) > 0) vm.assertTrue(token.isRegistered(a), "registered");
            if (i > 5) vm.assertFalse(token.isRegistered(a), "never-list");
        }
    }

    function running_hash_is_the_fold_of_the_events() private view {
        vm.assertEq(token.runningHash(), handler.hash(), "running hash");
    }

    function a_number_is_applied_at_most_once() private view {
        for (uint256 i = 0; i < handler.numbersUsed(); ++i) {
            uint64 number = handler.numbers(i);
            vm.assertEq(handler.timesApplied(number), 1, "times applied");
            vm.assertTrue(token.applied(number), "remembered");
        }
    }

    /// The campaign proves something only if what it does is mixed: the same calls over many runs, counted.
    function test_the_campaign_meets_every_case() public {
        uint256[12] memory outcomes;
        uint256 done;
        uint256 refused;
        for (uint256 round = 0; round < 30; ++round) {
            setUp();
            for (uint256 i = 0; i < 100; ++i) {
                uint256 seed = uint256(keccak256(abi.encode(round, i)));
                if (seed % 4 == 0) handler.execute(seed);
                if (seed % 4 == 1) handler.repeat(seed);
                if (seed % 4 == 2) handler.transfer(seed);
                if (seed % 4 == 3) handler.pauseOrNot(seed);
            }
            for (uint256 outcome = 0; outcome < 12; ++outcome) {
                outcomes[outcome] += handler.itemsOf(outcome);
            }
            done += handler.transfersDone();
            refused += handler.transfersRefused();
        }
        uint256 items;
        for (uint256 outcome = 0; outcome < 12; ++outcome) {
            items += outcomes[outcome];
            if (outcome == 9) vm.assertEq(outcomes[outcome], 0, "reserved");
            else vm.assertGe(outcomes[outcome], 20, "each outcome many times");
        }
        uint256 skipped = items - outcomes[0] - outcomes[1];
        print("items", items);
        print("applied, in percent", outcomes[0] * 100 / items);
        print("repeated, in percent", outcomes[1] * 100 / items);
        print("skipped, in percent", skipped * 100 / items);
        print("transfers", done + refused);
        print("transfers done, in percent", done * 100 / (done + refused));
        vm.assertGe(outcomes[0] * 100, items * 15, "items applied");
        vm.assertGe(outcomes[1] * 100, items * 20, "items repeated");
        vm.assertGe(skipped * 100, items * 20, "items skipped");
        vm.assertGe(done * 100, (done + refused) * 10, "transfers done");
        vm.assertGe(refused * 100, (done + refused) * 20, "transfers refused");
    }
}

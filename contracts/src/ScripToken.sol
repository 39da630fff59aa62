// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "./IERC20.sol";
import {ITEM_BYTES, Item, KEY_TAG, Kind, Outcome, RECORD_BYTES} from "./Instruction.sol";
import {RegistrarRole} from "./RegistrarRole.sol";

/// What a token is made from. All of it but `registrar` stays as it is for the token's life.
/// @param productId the product's UUID, its 16 bytes first, then zeros
/// @param cap the most units that may ever be issued and not withdrawn; not zero
/// @param termsHash hash of the terms of issue
/// @param lockInUntil unix seconds before which holders cannot transfer; 0 = none
/// @param registrar the only account whose instructions are executed; not zero
struct Terms {
    bytes32 productId;
    string name;
    string symbol;
    uint96 cap;
    bytes32 termsHash;
    uint64 lockInUntil;
    address registrar;
}

/// @title The units of one product on the ledger.
/// @notice An ERC-20 without decimals whose holders must be registered. Units come and go only by the registrar's
/// numbered instructions (`execute`), each of which takes effect at most once. Holders can transfer among themselves
/// as long as the pause, blocks, frozen units and the lock-in date let them.
///
/// Who is bound by what: pause, lock-in, frozen units and the sender's block bind holders, not the registrar. So
/// instructions run while the token is paused, and withdraw, redeem and forced transfer reach frozen units of blocked
/// accounts (unfrozen units go first). One thing binds both: no units arrive at an account that is blocked or whose
/// receiving is switched off.
///
/// The contract calls no other contract, holds no ether, cannot be upgraded or destroyed. All terms are in storage, so
/// the code, and with it the code hash, is the same for every product.
contract ScripToken is IERC20, RegistrarRole {
    /// Everything about an account. In storage it is one word: flags | frozen | balance, the balance in the low bits.
    struct Holder {
        uint96 balance;
        uint96 frozen;
        uint64 flags;
    }

    /// @param supply units outstanding, the sum of all balances
    /// @param issued units issued and not withdrawn; supply plus what was redeemed
    struct Totals {
        uint96 supply;
        uint96 issued;
    }

    /// What the items of one `execute` have in common, kept in memory while they run.
    struct Batch {
        uint96 supply;
        uint96 issued;
        uint96 cap;
        address factory;
    }

    uint64 private constant REGISTERED = 1;
    uint64 private constant BLOCKED = 2;
    uint64 private constant RECEIVING = 4;

    // In the slot of `registrar`, which `execute` has read already.
    uint96 public cap;

    // One slot: what a holder's transfer asks for first.
    uint64 public lockInUntil;
    address public factory;
    bool public paused;

    Totals private _totals;

    /// The hash over every applied and skipped item so far; zero before the first.
    bytes32 public runningHash;

    bytes32 public productId;
    bytes32 public termsHash;
    string public name;
    string public symbol;

    mapping(address account => uint256 word) private _holders;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    /// Bit `number & 255` of word `number >> 8` is set once the instruction of that number has been applied.
    mapping(uint256 wordIndex => uint256 word) private _applied;

    /// One for each call of `execute`. `records` holds every item in order, each followed by its outcome.
    event Executed(bytes32 before, bytes32 afterHash, bytes records);

    // Named as in ERC-3643, for explorers and wallets; `Executed` is the full record.
    event Paused(address userAddress);
    event Unpaused(address userAddress);
    event AddressFrozen(address indexed userAddress, bool indexed isFrozen, address indexed owner);
    event TokensFrozen(address indexed userAddress, uint256 amount);
    event TokensUnfrozen(address indexed userAddress, uint256 amount);

    error ZeroCap();
    error Expired(uint64 validUntil);
    error BadLength(uint256 length);
    error TransfersPaused();
    error LockedIn(uint64 until);
    error NotRegistered(address account);
    error AccountBlocked(address account);
    error ReceivingDisabled(address account);

    // Named as in ERC-6093. `balance` is the part of the balance that is not frozen.
    error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
    error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);

    /// The deployer is kept as `factory`; it can do nothing but be an address that never holds units.
    constructor(Terms memory terms) RegistrarRole(terms.registrar) {
        if (terms.cap == 0) revert ZeroCap();
        productId = terms.productId;
        name = terms.name;
        symbol = terms.symbol;
        cap = terms.cap;
        termsHash = terms.termsHash;
        lockInUntil = terms.lockInUntil;
        factory = msg.sender;
    }

    // --- Holders' transfers ---

    function transfer(address to, uint256 value) external returns (bool) {
        _transfer(msg.sender, to, value);
        return true;
    }

    /// An allowance of 2^256 - 1 is not used up.
    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < value) revert ERC20InsufficientAllowance(msg.sender, allowed, value);
            unchecked {
                // value <= allowed
                allowance[from][msg.sender] = allowed - value;
            }
        }
        _transfer(from, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    // --- The registrar's instructions ---

    /// Carries out the items in order. One that cannot be carried out is skipped with an outcome that says why; one
    /// whose number has been applied before is left alone. The call as a whole reverts only if the caller is not the
    /// registrar, the time is past, or the length is wrong.
    /// @param validUntil unix seconds; in a later block everything is refused
    /// @param items packed items, see `Instruction.sol`
    /// @return outcomes one byte for each item
    function execute(uint64 validUntil, bytes calldata items) external onlyRegistrar returns (bytes memory outcomes) {
        if (block.timestamp > validUntil) revert Expired(validUntil);
        if (items.length % ITEM_BYTES != 0) revert BadLength(items.length);

        uint256 count = items.length / ITEM_BYTES;
        outcomes = new bytes(count);
        bytes memory records = new bytes(count * RECORD_BYTES);
        bytes32 before = runningHash;
        bytes32 hash = before;
        Batch memory batch = Batch(_totals.supply, _totals.issued, cap, factory);
        Item memory item;
        // The bitmap word of the last item is kept at hand, so that neighbouring numbers share one write.
        uint256 wordIndex;
        uint256 word = _applied[0];

        for (uint256 i = 0; i < count; ++i) {
            _unpack(items[i * ITEM_BYTES:(i + 1) * ITEM_BYTES], item);
            if (item.number >> 8 != wordIndex) {
                _applied[wordIndex] = word;
                wordIndex = item.number >> 8;
                word = _applied[wordIndex];
            }
            uint256 bit = 1 << (item.number & 255);

            uint8 outcome = Outcome.ALREADY_APPLIED;
            if (word & bit == 0) {
                outcome = _perform(item, batch);
                if (outcome == Outcome.APPLIED) word |= bit;
                hash = _fold(hash, item, outcome);
            }

            outcomes[i] = bytes1(outcome);
            _record(records, items, i, outcome);
        }

        _applied[wordIndex] = word;
        _totals = Totals(batch.supply, batch.issued);
        runningHash = hash;
        emit Executed(before, hash, records);
    }

    /// Stops the holders' transfers. Instructions still run.
    function pause() external onlyRegistrar {
        paused = true;
        emit Paused(msg.sender);
    }

    function unpause() external onlyRegistrar {
        paused = false;
        emit Unpaused(msg.sender);
    }

    // --- Reads ---

    function decimals() external pure returns (uint8) {
        return 0;
    }

    /// Units outstanding: issued, and neither withdrawn nor redeemed.
    function totalSupply() external view returns (uint256) {
        return _totals.supply;
    }

    /// Units issued and not withdrawn, redeemed ones included; never above `cap`.
    function issuedTotal() external view returns (uint96) {
        return _totals.issued;
    }

    /// All units of the account, frozen ones included.
    function balanceOf(address account) external view returns (uint256) {
        return _load(account).balance;
    }

    /// Units that are not frozen.
    function activeBalanceOf(address account) public view returns (uint256) {
        Holder memory holder = _load(account);
        return holder.balance - holder.frozen;
    }

    /// `activeBalanceOf` by its ERC-7551 name.
    function getActiveBalanceOf(address account) external view returns (uint256) {
        return activeBalanceOf(account);
    }

    function frozenBalanceOf(address account) public view returns (uint256) {
        return _load(account).frozen;
    }

    /// `frozenBalanceOf` by its ERC-3643 name.
    function getFrozenTokens(address account) external view returns (uint256) {
        return frozenBalanceOf(account);
    }

    function isRegistered(address account) public view returns (bool) {
        return _load(account).flags & REGISTERED != 0;
    }

    /// `isRegistered` by its ERC-3643 name.
    function isVerified(address account) external view returns (bool) {
        return isRegistered(account);
    }

    /// Whether the account is blocked, by the ERC-3643 name.
    function isFrozen(address account) external view returns (bool) {
        return _load(account).flags & BLOCKED != 0;
    }

    function receivingEnabled(address account) external view returns (bool) {
        return _load(account).flags & RECEIVING != 0;
    }

    /// Whether the instruction of this number has taken effect.
    function applied(uint64 number) external view returns (bool) {
        return _applied[number >> 8] & (1 << (number & 255)) != 0;
    }

    /// The identity of an order on this token and chain, whatever its number.
    function keyOf(bytes16 id) public view returns (bytes32) {
        return keccak256(abi.encodePacked(KEY_TAG, block.chainid, address(this), id));
    }

    // --- Inside ---

    function _transfer(address from, address to, uint256 value) private {
        if (paused) revert TransfersPaused();
        if (block.timestamp < lockInUntil) revert LockedIn(lockInUntil);

        Holder memory sender = _load(from);
        if (sender.flags & REGISTERED == 0) revert NotRegistered(from);
        if (sender.flags & BLOCKED != 0) revert AccountBlocked(from);
        Holder memory recipient = _load(to);
        if (recipient.flags & REGISTERED == 0) revert NotRegistered(to);
        if (recipient.flags & BLOCKED != 0) revert AccountBlocked(to);
        if (recipient.flags & RECEIVING == 0) revert ReceivingDisabled(to);
        uint256 active = sender.balance - sender.frozen;
        if (value > active) revert ERC20InsufficientBalance(from, active, value);

        // value <= balance, so it fits. Who sends to itself keeps what it has.
        if (from != to) {
            sender.balance -= uint96(value);
            recipient.balance += uint96(value);
            _store(from, sender);
            _store(to, recipient);
        }
        emit Transfer(from, to, value);
    }

    /// Carries out one item whose number is free. Either does all of it and answers APPLIED, or does nothing.
    function _perform(Item memory item, Batch memory batch) private returns (uint8) {
        uint8 kind = item.kind;
        if (kind == 0 || kind > Kind.SET_RECEIVING) return Outcome.UNKNOWN_KIND;
        if (_isForbidden(item.account, batch.factory)) return Outcome.FORBIDDEN_ADDRESS;
        if (kind == Kind.FORCED_TRANSFER || kind == Kind.RECOVER) {
            if (_isForbidden(item.counterparty, batch.factory)) return Outcome.FORBIDDEN_ADDRESS;
            if (item.counterparty == item.account) return Outcome.INVALID_ARGUMENT;
        }
        bool needsUnits = kind <= Kind.FORCED_TRANSFER || kind == Kind.FREEZE || kind == Kind.UNFREEZE;
        if (needsUnits && item.units == 0) return Outcome.ZERO_UNITS;

        Holder memory holder = _load(item.account);
        if (kind == Kind.ISSUE) return _issue(item, holder, batch);
        if (kind == Kind.REGISTER) return _register(item, holder);
        if (kind == Kind.BLOCK || kind == Kind.UNBLOCK) return _setBlocked(item, holder);

        if (holder.flags & REGISTERED == 0) return Outcome.NOT_REGISTERED;
        if (kind == Kind.WITHDRAW || kind == Kind.REDEEM) return _burn(item, holder, batch);
        if (kind == Kind.FORCED_TRANSFER) return _forceTransfer(item, holder);
        if (kind == Kind.RECOVER) return _recover(item, holder);
        if (kind == Kind.FREEZE || kind == Kind.UNFREEZE) return _setFrozen(item, holder);
        return _setReceiving(item, holder);
    }

    function _issue(Item memory item, Holder memory holder, Batch memory batch) private returns (uint8) {
        if (holder.flags & BLOCKED != 0) return Outcome.BLOCKED_ACCOUNT;
        if (holder.flags & REGISTERED != 0 && holder.flags & RECEIVING == 0) return Outcome.RECEIVING_DISABLED;
        if (uint256(batch.issued) + item.units > batch.cap) return Outcome.CAP_EXCEEDED;
        batch.issued += item.units;
        batch.supply += item.units;
        holder.balance += item.units;
        holder.flags |= REGISTERED | RECEIVING;
        _store(item.account, holder);
        emit Transfer(address(0), item.account, item.units);
        return Outcome.APPLIED;
    }

    /// Withdraw undoes an issue; redeem ends units that were issued rightly.
    function _burn(Item memory item, Holder memory holder, Batch memory batch) private returns (uint8) {
        if (item.units > holder.balance) return Outcome.INSUFFICIENT_BALANCE;
        batch.supply -= item.units;
        if (item.kind == Kind.WITHDRAW) batch.issued -= item.units;
        _take(item.account, holder, item.units);
        emit Transfer(item.account, address(0), item.units);
        return Outcome.APPLIED;
    }

    function _forceTransfer(Item memory item, Holder memory holder) private returns (uint8) {
        Holder memory recipient = _load(item.counterparty);
        if (recipient.flags & REGISTERED == 0) return Outcome.NOT_REGISTERED;
        if (recipient.flags & BLOCKED != 0) return Outcome.BLOCKED_ACCOUNT;
        if (recipient.flags & RECEIVING == 0) return Outcome.RECEIVING_DISABLED;
        if (item.units > holder.balance) return Outcome.INSUFFICIENT_BALANCE;
        _take(item.account, holder, item.units);
        recipient.balance += item.units;
        _store(item.counterparty, recipient);
        emit Transfer(item.account, item.counterparty, item.units);
        return Outcome.APPLIED;
    }

    /// The new wallet takes the place of the lost one with its units, frozen units and flags (a block too, so that a
    /// recovery frees nobody). The lost one is left empty, blocked and no longer registered: it cannot be recovered
    /// from twice.
    function _recover(Item memory item, Holder memory lost) private returns (uint8) {
        Holder memory found = _load(item.counterparty);
        if (found.flags & BLOCKED != 0) return Outcome.BLOCKED_ACCOUNT;
        if (found.flags & REGISTERED != 0 && found.flags & RECEIVING == 0) return Outcome.RECEIVING_DISABLED;
        found.balance += lost.balance;
        found.frozen += lost.frozen;
        found.flags = lost.flags;
        _store(item.counterparty, found);
        _store(item.account, Holder(0, 0, BLOCKED));
        if (lost.frozen != 0) emit TokensUnfrozen(item.account, lost.frozen);
        emit Transfer(item.account, item.counterparty, lost.balance);
        if (lost.frozen != 0) emit TokensFrozen(item.counterparty, lost.frozen);
        if (lost.flags & BLOCKED != 0) emit AddressFrozen(item.counterparty, true, msg.sender);
        emit AddressFrozen(item.account, true, msg.sender);
        return Outcome.APPLIED;
    }

    /// Works on unknown accounts too, so that an address can be shut out before it ever holds units.
    function _setBlocked(Item memory item, Holder memory holder) private returns (uint8) {
        bool blocked = item.kind == Kind.BLOCK;
        holder.flags = blocked ? holder.flags | BLOCKED : holder.flags & ~BLOCKED;
        _store(item.account, holder);
        emit AddressFrozen(item.account, blocked, msg.sender);
        return Outcome.APPLIED;
    }

    function _setFrozen(Item memory item, Holder memory holder) private returns (uint8) {
        if (item.kind == Kind.FREEZE) {
            if (item.units > holder.balance - holder.frozen) return Outcome.INSUFFICIENT_BALANCE;
            holder.frozen += item.units;
            emit TokensFrozen(item.account, item.units);
        } else {
            if (item.units > holder.frozen) return Outcome.INSUFFICIENT_BALANCE;
            holder.frozen -= item.units;
            emit TokensUnfrozen(item.account, item.units);
        }
        _store(item.account, holder);
        return Outcome.APPLIED;
    }

    /// A new account can receive from the start. For one that is registered already nothing changes.
    function _register(Item memory item, Holder memory holder) private returns (uint8) {
        if (holder.flags & BLOCKED != 0) return Outcome.BLOCKED_ACCOUNT;
        if (holder.flags & REGISTERED == 0) _store(item.account, Holder(0, 0, REGISTERED | RECEIVING));
        return Outcome.APPLIED;
    }

    function _setReceiving(Item memory item, Holder memory holder) private returns (uint8) {
        if (item.units > 1) return Outcome.INVALID_ARGUMENT;
        holder.flags = item.units == 1 ? holder.flags | RECEIVING : holder.flags & ~RECEIVING;
        _store(item.account, holder);
        return Outcome.APPLIED;
    }

    /// Takes units off an account that has them: unfrozen ones first, then frozen ones.
    function _take(address account, Holder memory holder, uint96 units) private {
        holder.balance -= units;
        if (holder.frozen > holder.balance) {
            emit TokensUnfrozen(account, holder.frozen - holder.balance);
            holder.frozen = holder.balance;
        }
        _store(account, holder);
    }

    function _load(address account) private view returns (Holder memory) {
        uint256 word = _holders[account];
        return Holder(uint96(word), uint96(word >> 96), uint64(word >> 192));
    }

    function _store(address account, Holder memory holder) private {
        _holders[account] = uint256(holder.flags) << 192 | uint256(holder.frozen) << 96 | holder.balance;
    }

    /// Addresses nobody can hold units with: zero and the precompiles (0x1 to 0x11, 0x100), this token, its factory.
    function _isForbidden(address account, address factory_) private view returns (bool) {
        return uint160(account) <= 0x11 || uint160(account) == 0x100 || account == address(this) || account == factory_;
    }

    function _fold(bytes32 hash, Item memory item, uint8 outcome) private view returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                hash, item.kind, item.number, keyOf(item.id), item.account, item.counterparty, item.units, outcome
            )
        );
    }

    function _unpack(bytes calldata raw, Item memory item) private pure {
        uint256 head = uint256(bytes32(raw[0:32]));
        item.kind = uint8(head >> 248);
        item.number = uint64(head >> 184);
        item.id = bytes16(uint128(head >> 56));
        uint256 middle = uint256(bytes32(raw[25:57]));
        item.account = address(uint160(middle >> 96));
        item.units = uint96(middle);
        item.counterparty = address(bytes20(raw[57:77]));
    }

    /// Writes item `i` and its outcome to their place in `records`.
    function _record(bytes memory records, bytes calldata items, uint256 i, uint8 outcome) private pure {
        // Copying 77 bytes one by one would cost more than half of the item's other computation. In bounds, since `i` is
        // below the count both lengths were made from.
        assembly ("memory-safe") {
            calldatacopy(add(add(records, 32), mul(i, RECORD_BYTES)), add(items.offset, mul(i, ITEM_BYTES)), ITEM_BYTES)
        }
        records[i * RECORD_BYTES + ITEM_BYTES] = bytes1(outcome);
    }
}

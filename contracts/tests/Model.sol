// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Item} from "../src/Instruction.sol";
import {pack} from "./Base.sol";

/// What the token must do, said as simply as it can be: plain mappings, one item at a time, nothing packed or cached.
contract Model {
    mapping(address => uint256) public balance;
    mapping(address => uint256) public frozen;
    mapping(address => bool) public registered;
    mapping(address => bool) public blocked;
    mapping(address => bool) public receiving;
    mapping(uint64 => bool) public applied;
    uint256 public supply;
    uint256 public issued;

    uint256 private immutable CAP;
    address private immutable TOKEN;
    address private immutable FACTORY;

    constructor(uint256 cap, address token, address factory) {
        CAP = cap;
        TOKEN = token;
        FACTORY = factory;
    }

    /// Answers the outcome by its number in the interface.
    function run(Item memory item) external returns (uint8) {
        if (applied[item.number]) return 1;
        uint8 outcome = judge(item);
        if (outcome == 0) {
            applied[item.number] = true;
            effect(item);
        }
        return outcome;
    }

    function judge(Item memory item) private view returns (uint8) {
        uint8 k = item.kind;
        address a = item.account;
        address c = item.counterparty;
        bool pair = k == 4 || k == 5;
        bool opens = k == 1 || k == 6 || k == 7 || k == 10;
        if (k < 1 || k > 11) return 6;
        if (never(a) || (pair && never(c))) return 3;
        if (pair && a == c) return 11;
        if (item.units == 0 && k != 5 && k != 6 && k != 7 && k != 10 && k != 11) return 7;
        if (!opens && !registered[a]) return 8;
        if ((k == 1 || k == 10) && blocked[a]) return 2;
        if (k == 1 && registered[a] && !receiving[a]) return 10;
        if (k == 1 && issued + item.units > CAP) return 4;
        if (k == 4 && !registered[c]) return 8;
        if (pair && blocked[c]) return 2;
        if (pair && registered[c] && !receiving[c]) return 10;
        if ((k == 2 || k == 3 || k == 4) && item.units > balance[a]) return 5;
        if (k == 8 && frozen[a] + item.units > balance[a]) return 5;
        if (k == 9 && item.units > frozen[a]) return 5;
        if (k == 11 && item.units > 1) return 11;
        return 0;
    }

    function effect(Item memory item) private {
        uint8 k = item.kind;
        address a = item.account;
        address c = item.counterparty;
        uint256 units = item.units;
        if (k == 1 || k == 10) {
            if (!registered[a]) receiving[a] = true;
            registered[a] = true;
        }
        if (k == 1) {
            balance[a] += units;
            supply += units;
            issued += units;
        }
        if (k == 2 || k == 3) supply -= units;
        if (k == 2) issued -= units;
        if (k == 2 || k == 3 || k == 4) {
            balance[a] -= units;
            if (frozen[a] > balance[a]) frozen[a] = balance[a];
        }
        if (k == 4) balance[c] += units;
        if (k == 5) {
            balance[c] += balance[a];
            frozen[c] += frozen[a];
            registered[c] = registered[a];
            blocked[c] = blocked[a];
            receiving[c] = receiving[a];
            balance[a] = 0;
            frozen[a] = 0;
            registered[a] = false;
            receiving[a] = false;
            blocked[a] = true;
        }
        if (k == 6) blocked[a] = true;
        if (k == 7) blocked[a] = false;
        if (k == 8) frozen[a] += units;
        if (k == 9) frozen[a] -= units;
        if (k == 11) receiving[a] = units == 1;
    }

    function never(address a) private view returns (bool) {
        uint256 n = uint160(a);
        return n <= 17 || n == 256 || a == TOKEN || a == FACTORY;
    }
}

/// Makes items that have a fair chance of each outcome: few accounts, few numbers, small units.
library Generator {
    /// Each kind as often as it is to be ordered; 0, 12 and 255 do not exist.
    bytes private constant KINDS = hex"0101010101010101010202020303040404050606070707070808090909000a0b0b0b0cff";

    /// Numbers run over this many neighbours, in three places.
    uint256 private constant NUMBERS = 120;

    /// The accounts that items and transfers are about; the last three are on the never-list.
    function accounts(address token, address factory) internal pure returns (address[] memory all) {
        all = new address[](9);
        for (uint160 i = 0; i < 6; ++i) {
            all[i] = address(0xACC0000000 + i);
        }
        all[6] = address(9);
        all[7] = token;
        all[8] = factory;
    }

    function item(uint256 random, address[] memory among) internal pure returns (Item memory made) {
        made.kind = uint8(KINDS[random % KINDS.length]);
        made.number = uint64((random >> 8) % NUMBERS + ((random >> 24) & 1 == 0 ? 0 : 256 - NUMBERS / 2));
        if ((random >> 25) & 7 == 0) made.number += 1 << 40;
        made.id = bytes16(keccak256(abi.encode(made.number)));
        made.account = pick(random >> 32, among);
        made.counterparty = pick(random >> 40, among);
        made.units = uint96((random >> 48) % 64);
        // Mostly on, so that units keep flowing.
        if (made.kind == 11 && made.units > 3) made.units = 1;
    }

    /// One in sixteen is on the never-list.
    function pick(uint256 random, address[] memory among) private pure returns (address) {
        uint256 dice = random & 0xff;
        return dice < 16 ? among[6 + dice % 3] : among[dice % 6];
    }

    function batch(uint256 seed, uint256 count, address[] memory among)
        internal
        pure
        returns (Item[] memory items, bytes memory packed)
    {
        items = new Item[](count);
        for (uint256 i = 0; i < count; ++i) {
            items[i] = item(uint256(keccak256(abi.encode(seed, i))), among);
            packed = bytes.concat(packed, pack(items[i]));
        }
    }
}

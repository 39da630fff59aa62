// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// The least that a token with an issuer can be, for `../gas` to compare with: no registration, no number that is
/// remembered, no expiry, no item that is skipped.
contract OpenZeppelinToken is ERC20, Ownable {
    constructor() ERC20("Baseline", "BASE") Ownable(msg.sender) {}

    function mint(address to, uint256 units) external onlyOwner {
        _mint(to, units);
    }

    function batchMint(address[] calldata to, uint256[] calldata units) external onlyOwner {
        for (uint256 i = 0; i < to.length; ++i) {
            _mint(to[i], units[i]);
        }
    }
}

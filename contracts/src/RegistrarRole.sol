// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who orders, and how that changes hands.
/// @notice The registrar gives the orders with a key that is in daily use. The guardian, best a key that is kept offline,
/// can do one thing: name another registrar, which takes over two days later. Until a guardian is set, the registrar is
/// its own. A stolen or lost guardian key gives its holder the role after the delay, and nobody can stop that: it has
/// to be kept better than the registrar's.
abstract contract RegistrarRole {
    /// A handover of the registrar role that waits for its time.
    struct Proposal {
        address next;
        uint64 acceptableFrom;
        bool byGuardian;
    }

    /// Time between the proposal of a new registrar and the first moment it can accept.
    uint64 public constant REGISTRAR_DELAY_SECONDS = 2 days;

    Proposal public proposal;
    address private _guardian;
    address public registrar;

    event RegistrarProposed(address indexed next, uint64 acceptableFrom, bool byGuardian);
    event RegistrarProposalCancelled(address indexed next);
    event RegistrarChanged(address indexed before, address indexed next);
    event GuardianChanged(address indexed next);

    error NotRegistrar(address caller);
    error NotGuardian(address caller);
    error NotProposed(address caller);
    error NothingProposed();
    error ProposedByGuardian();
    error TooEarly(uint64 acceptableFrom);
    error ZeroRegistrar();

    modifier onlyRegistrar() {
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        _;
    }

    modifier onlyGuardian() {
        if (msg.sender != guardian()) revert NotGuardian(msg.sender);
        _;
    }

    constructor(address first) {
        if (first == address(0)) revert ZeroRegistrar();
        registrar = first;
        emit RegistrarChanged(address(0), first);
    }

    /// Names the account that may take over the role after the delay, in place of any named before. What the guardian
    /// has named, the registrar cannot replace or cancel: a stolen registrar key cannot hold off its own removal.
    function proposeRegistrar(address next) external {
        _requireProposer();
        if (next == address(0)) revert ZeroRegistrar();
        uint64 acceptableFrom = uint64(block.timestamp) + REGISTRAR_DELAY_SECONDS;
        bool byGuardian = msg.sender == guardian();
        proposal = Proposal(next, acceptableFrom, byGuardian);
        emit RegistrarProposed(next, acceptableFrom, byGuardian);
    }

    function cancelRegistrar() external {
        _requireProposer();
        if (proposal.next == address(0)) revert NothingProposed();
        emit RegistrarProposalCancelled(proposal.next);
        delete proposal;
    }

    function acceptRegistrar() external {
        if (msg.sender != proposal.next) revert NotProposed(msg.sender);
        if (block.timestamp < proposal.acceptableFrom) revert TooEarly(proposal.acceptableFrom);
        emit RegistrarChanged(registrar, msg.sender);
        registrar = msg.sender;
        delete proposal;
    }

    /// Hands the guardian's part on; zero gives it back to the registrar of the day.
    function setGuardian(address next) external onlyGuardian {
        _guardian = next;
        emit GuardianChanged(next);
    }

    /// The account that can replace a lost or stolen registrar key; the registrar itself until another is set.
    function guardian() public view returns (address) {
        return _guardian == address(0) ? registrar : _guardian;
    }

    function _requireProposer() private view {
        if (msg.sender == guardian()) return;
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        if (proposal.byGuardian) revert ProposedByGuardian();
    }
}

# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title Roles and pauses
@notice Owner (two steps to hand over), operator and guardian, and one pause
        for each function of the contract that uses this module.
        The guardian may pause and nothing else: a pause is never shortened by
        pausing again, and exits stay open for at least a week of every two.
"""

event OwnershipOffered:
    owner: indexed(address)
    to: indexed(address)

event OwnershipTaken:
    before: indexed(address)
    owner: indexed(address)

event OperatorChanged:
    before: indexed(address)
    operator: indexed(address)

event GuardianChanged:
    before: indexed(address)
    guardian: indexed(address)

event Paused:
    flags: uint256
    until: uint256  # unix seconds; max_value(uint256) is for good
    by: indexed(address)

event Unpaused:
    flags: uint256
    by: indexed(address)


# The longest time for which the guardian may shut an exit, from when it first did; after it
# the exit stays open for as long, whatever the guardian wants.
GUARDIAN_LIMIT: constant(uint256) = 7 * 86400

# Bits that exist in the contract, and those among them that shut exits.
FLAGS: immutable(uint256)
EXITS: immutable(uint256)

owner: public(address)
pending_owner: public(address)
operator: public(address)
guardian: public(address)

# The low 16 bits are the pauses that are on (or ran out since); one read tells that none is.
# The other 240 bits belong to the contract that uses this module, which may keep there what
# it reads in the same breath.
_word: uint256
# The second from which a bit no longer counts as paused.
_until: HashMap[uint256, uint256]
# The second at which the guardian shut this exit for the first time in the current fortnight.
_shut_at: HashMap[uint256, uint256]


@deploy
def __init__(owner: address, operator: address, guardian: address, flags: uint256, exits: uint256):
    assert owner != empty(address), "zero address"
    FLAGS = flags
    EXITS = exits
    self.owner = owner
    self.operator = operator
    self.guardian = guardian
    log OwnershipTaken(before=empty(address), owner=owner)
    log OperatorChanged(before=empty(address), operator=operator)
    log GuardianChanged(before=empty(address), guardian=guardian)


@internal
@view
def _only_owner():
    assert msg.sender == self.owner, "not owner"


@internal
@view
def _only_operator():
    assert msg.sender == self.operator, "not operator"


@internal
@view
def _paused(flag: uint256) -> bool:
    return self._word & flag != 0 and block.timestamp < self._until[flag]


@internal
@view
def _not_paused(flag: uint256):
    assert not self._paused(flag), "paused"


@external
@view
def paused(flag: uint256) -> bool:
    """
    @notice Whether the function that this one bit stands for is paused now.
    """
    return self._paused(flag)


@external
@view
def paused_until(flag: uint256) -> uint256:
    """
    @notice The second at which the pause of this bit ends; 0 if it is not paused.
    """
    return self._until[flag] if self._paused(flag) else 0


@external
@view
def pause_flags() -> uint256:
    """
    @notice Every bit that can be paused here.
    """
    return FLAGS


@external
def pause(flags: uint256, until: uint256):
    """
    @notice Pause functions; the owner or the guardian may.
    @param flags The bits to pause.
    @param until The unix second at which the pause ends; 0 is for good.
    @dev A pause already on is only ever made longer. The guardian may shut an exit, and shut it
         again, for a week from the first time; then not before another week is over.
    """
    assert msg.sender == self.guardian or msg.sender == self.owner, "not guardian"
    assert flags != 0 and flags & ~FLAGS == 0, "flags"
    end: uint256 = until if until != 0 else max_value(uint256)
    assert end > block.timestamp, "expired"
    exits: uint256 = EXITS if msg.sender != self.owner else 0
    for i: uint256 in range(16):
        bit: uint256 = 1 << i
        if flags & bit == 0:
            continue
        if exits & bit != 0:
            if block.timestamp >= self._shut_at[bit] + 2 * GUARDIAN_LIMIT:
                self._shut_at[bit] = block.timestamp
            assert end <= self._shut_at[bit] + GUARDIAN_LIMIT, "too long"
        if end > self._until[bit]:
            self._until[bit] = end
    self._word |= flags
    log Paused(flags=flags, until=end, by=msg.sender)


@external
def unpause(flags: uint256):
    """
    @notice Take pauses back; the owner alone may.
    """
    self._only_owner()
    assert flags != 0 and flags & ~FLAGS == 0, "flags"
    for i: uint256 in range(16):
        bit: uint256 = 1 << i
        if flags & bit != 0:
            self._until[bit] = 0
    self._word &= ~flags
    log Unpaused(flags=flags, by=msg.sender)


@external
def transfer_ownership(to: address):
    """
    @notice Offer the ownership; it changes hands when `to` accepts. Zero takes the offer back.
    """
    self._only_owner()
    self.pending_owner = to
    log OwnershipOffered(owner=msg.sender, to=to)


@external
def accept_ownership():
    """
    @notice Take the ownership that was offered to the caller.
    """
    assert msg.sender == self.pending_owner, "not pending owner"
    log OwnershipTaken(before=self.owner, owner=msg.sender)
    self.owner = msg.sender
    self.pending_owner = empty(address)


@external
def set_operator(operator: address):
    """
    @notice Name the operator; the owner alone may. Zero leaves the post empty.
    """
    self._only_owner()
    log OperatorChanged(before=self.operator, operator=operator)
    self.operator = operator


@external
def set_guardian(guardian: address):
    """
    @notice Name the guardian; the owner alone may. Zero leaves the post empty.
    """
    self._only_owner()
    log GuardianChanged(before=self.guardian, guardian=guardian)
    self.guardian = guardian

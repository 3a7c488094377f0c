# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title BatchPayout
@notice Pays many addresses in one transaction out of what was funded. A payment that fails is
        kept for its payee to claim; it never stops the others. Each batch id works once.
@dev available + owed <= the contract's balance; paid + kept = total of each batch.
"""

from ethereum.ercs import IERC20
from modules import roles
from modules import tokens

initializes: roles
exports: roles.__interface__

event Funded:
    sender: indexed(address)
    amount: uint256

event Paid:
    batch_id: indexed(bytes32)
    payee: indexed(address)
    amount: uint256

event Kept:
    batch_id: indexed(bytes32)
    payee: indexed(address)
    amount: uint256

event BatchDone:
    batch_id: indexed(bytes32)
    count: uint256
    total: uint256

event Claimed:
    payee: indexed(address)
    amount: uint256
    receiver: address

event Defunded:
    to: indexed(address)
    amount: uint256


# Bits of the pauses.
FUND: constant(uint256) = 1
CLAIM: constant(uint256) = 2
PAY: constant(uint256) = 4

MAX_BATCH: constant(uint256) = 500

token: public(immutable(address))

available: public(uint256)  # funded and not yet promised to anybody
owed: public(uint256)  # kept for payees to claim
claimable: public(HashMap[address, uint256])
batch_done: public(HashMap[bytes32, bool])


@deploy
def __init__(token_: address, owner: address, operator: address, guardian: address):
    assert token_.is_contract, "not a contract"
    token = token_
    roles.__init__(owner, operator, guardian, FUND | CLAIM | PAY, CLAIM)


@external
def fund(amount: uint256):
    """
    @notice Add to what batches are paid from; anybody may. Credits what arrived.
    """
    roles._not_paused(FUND)
    arrived: uint256 = tokens._pull(token, msg.sender, amount)
    self.available += arrived
    log Funded(sender=msg.sender, amount=arrived)


@external
def pay(
    batch_id: bytes32, payees: DynArray[address, MAX_BATCH], amounts: DynArray[uint256, MAX_BATCH]
):
    """
    @notice Pay a batch; the operator alone may, each batch id once.
    @dev A zero amount, the zero address and this contract are mistakes of the operator and
         refuse the whole batch, since nobody could ever claim what would be kept for them.
    """
    roles._only_operator()
    roles._not_paused(PAY)
    assert batch_id != empty(bytes32), "batch id"
    assert not self.batch_done[batch_id], "batch done"
    count: uint256 = len(payees)
    assert count != 0 and count == len(amounts), "length"
    total: uint256 = 0
    for i: uint256 in range(count, bound=MAX_BATCH):
        assert amounts[i] != 0, "zero amount"
        assert payees[i] != empty(address) and payees[i] != self, "payee"
        total += amounts[i]
    available: uint256 = self.available
    assert total <= available, "funds"
    self.batch_done[batch_id] = True
    self.available = available - total

    before: uint256 = staticcall IERC20(token).balanceOf(self)
    paid: uint256 = 0
    for i: uint256 in range(count, bound=MAX_BATCH):
        paid += self._pay(batch_id, payees[i], amounts[i])
    self.owed += total - paid
    assert staticcall IERC20(token).balanceOf(self) + paid >= before, "token took more"
    log BatchDone(batch_id=batch_id, count=count, total=total)


@external
def claim(receiver: address = msg.sender):
    """
    @notice Take what was kept for the caller; to another address if the token refuses this one.
    """
    roles._not_paused(CLAIM)
    amount: uint256 = self.claimable[msg.sender]
    assert amount != 0, "nothing to claim"
    self.claimable[msg.sender] = 0
    self.owed -= amount
    tokens._push(token, receiver, amount)
    log Claimed(payee=msg.sender, amount=amount, receiver=receiver)


@external
def defund(amount: uint256, to: address):
    """
    @notice Take back funds that are promised to nobody; the owner alone may.
    """
    roles._only_owner()
    assert amount != 0, "zero amount"
    assert amount <= self.available, "funds"
    self.available -= amount
    tokens._push(token, to, amount)
    log Defunded(to=to, amount=amount)


@external
def rescue(other: address, to: address):
    """
    @notice Send out what is here beyond the books; the owner alone may.
    @dev The last check holds for a token that has two addresses as well.
    """
    roles._only_owner()
    held: uint256 = self.available + self.owed
    amount: uint256 = staticcall IERC20(other).balanceOf(self)
    if other == token:
        amount -= held
    tokens._push(other, to, amount)
    assert staticcall IERC20(token).balanceOf(self) >= held, "principal"


@internal
def _pay(batch_id: bytes32, payee: address, amount: uint256) -> uint256:
    """
    @dev Pay one payee and return the amount paid; nothing when it was kept instead.
    """
    if tokens._try_push(token, payee, amount):
        log Paid(batch_id=batch_id, payee=payee, amount=amount)
        return amount
    self.claimable[payee] += amount
    log Kept(batch_id=batch_id, payee=payee, amount=amount)
    return 0

# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title StakingPool
@notice The direct pool: holds what each user staked and pays it back to that user, and to
        nobody else. It knows no shares and no rewards. A user withdraws at any time; the
        operator may pay out a batch of users who asked for it off chain, each from their own
        balance to their own address, at the cost of gas alone.
@dev Principal never leaves except to its user. What is in the contract beyond the balances
     (tokens sent by mistake) may be rescued by the owner.
"""

from ethereum.ercs import IERC20
from modules import roles
from modules import tokens

initializes: roles
exports: roles.__interface__

event Deposited:
    user: indexed(address)
    amount: uint256
    balance: uint256

event Withdrawn:
    user: indexed(address)
    amount: uint256
    balance: uint256
    batch_id: indexed(bytes32)  # zero: by the user

event WithdrawalSkipped:
    batch_id: indexed(bytes32)
    user: indexed(address)
    amount: uint256
    reason: uint8

event Rescued:
    token: indexed(address)
    to: indexed(address)
    amount: uint256


# Bits of the pauses.
DEPOSIT: constant(uint256) = 1
WITHDRAW: constant(uint256) = 2
PAY: constant(uint256) = 4

# Reasons of WithdrawalSkipped.
SHORT: constant(uint8) = 1  # the user holds less than that, or nothing was asked for
FAILED: constant(uint8) = 2  # the token refused the transfer

MAX_BATCH: constant(uint256) = 500

asset: public(immutable(address))

total_staked: public(uint256)
balance_of: public(HashMap[address, uint256])
batch_done: public(HashMap[bytes32, bool])


@deploy
def __init__(asset_: address, owner: address, operator: address, guardian: address):
    assert asset_.is_contract, "not a contract"
    asset = asset_
    roles.__init__(owner, operator, guardian, DEPOSIT | WITHDRAW | PAY, WITHDRAW)


@external
def deposit(amount: uint256):
    """
    @notice Stake: takes `amount` of the asset from the caller and credits what arrived.
    """
    self._deposit(msg.sender, amount)


@external
def deposit_for(user: address, amount: uint256):
    """
    @notice Stake the caller's tokens for somebody else, such as a miner paid straight into a stake.
    """
    assert user != empty(address), "zero address"
    self._deposit(user, amount)


@external
def deposit_with_permit(amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Stake with an ERC-2612 permit of the same amount instead of an earlier approval.
    """
    tokens._permit(asset, msg.sender, amount, deadline, v, r, s)
    self._deposit(msg.sender, amount)


@external
def withdraw(amount: uint256):
    """
    @notice Take back `amount` of the caller's stake.
    """
    roles._not_paused(WITHDRAW)
    assert amount != 0, "zero amount"
    balance: uint256 = self.balance_of[msg.sender]
    assert balance >= amount, "balance"
    self.balance_of[msg.sender] = balance - amount
    self.total_staked -= amount
    tokens._push(asset, msg.sender, amount)
    log Withdrawn(user=msg.sender, amount=amount, balance=balance - amount, batch_id=empty(bytes32))


@external
def pay_withdrawals(
    batch_id: bytes32, users: DynArray[address, MAX_BATCH], amounts: DynArray[uint256, MAX_BATCH]
):
    """
    @notice Pay users out of their own balances; the operator alone may, each batch id once.
    @dev A user whose balance is short, or whose transfer the token refuses, is skipped with an
         event and keeps the balance.
    """
    roles._only_operator()
    roles._not_paused(PAY)
    assert batch_id != empty(bytes32), "batch id"
    assert not self.batch_done[batch_id], "batch done"
    count: uint256 = len(users)
    assert count != 0 and count == len(amounts), "length"
    self.batch_done[batch_id] = True
    before: uint256 = staticcall IERC20(asset).balanceOf(self)
    paid: uint256 = 0
    for i: uint256 in range(count, bound=MAX_BATCH):
        paid += self._pay(batch_id, users[i], amounts[i])
    self.total_staked -= paid
    assert staticcall IERC20(asset).balanceOf(self) + paid >= before, "token took more"


@external
def rescue(token: address, to: address):
    """
    @notice Send out what is here beyond the users' balances; the owner alone may.
    @dev The last check holds for a token that has two addresses as well.
    """
    roles._only_owner()
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    if token == asset:
        amount -= self.total_staked
    tokens._push(token, to, amount)
    assert staticcall IERC20(asset).balanceOf(self) >= self.total_staked, "principal"
    log Rescued(token=token, to=to, amount=amount)


@internal
def _deposit(user: address, amount: uint256):
    roles._not_paused(DEPOSIT)
    arrived: uint256 = tokens._pull(asset, msg.sender, amount)
    balance: uint256 = self.balance_of[user] + arrived
    self.balance_of[user] = balance
    self.total_staked += arrived
    log Deposited(user=user, amount=arrived, balance=balance)


@internal
def _pay(batch_id: bytes32, user: address, amount: uint256) -> uint256:
    """
    @dev Pay one user and return the amount paid; nothing when skipped.
    """
    balance: uint256 = self.balance_of[user]
    if amount == 0 or balance < amount:
        log WithdrawalSkipped(batch_id=batch_id, user=user, amount=amount, reason=SHORT)
        return 0
    self.balance_of[user] = balance - amount
    if not tokens._try_push(asset, user, amount):
        self.balance_of[user] = balance
        log WithdrawalSkipped(batch_id=batch_id, user=user, amount=amount, reason=FAILED)
        return 0
    log Withdrawn(user=user, amount=amount, balance=balance - amount, batch_id=batch_id)
    return amount

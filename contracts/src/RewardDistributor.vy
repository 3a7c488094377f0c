# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title RewardDistributor
@notice Pays the rewards of a pool's epochs. Each epoch the operator posts the Merkle root of
        what every account has earned since the beginning; a claim pays the difference to what
        the account has taken, so one claim takes everything and no leaf pays twice.
@dev Leaf: keccak256(keccak256(abi.encode(account, cumulative))), pairs sorted (the layout of
     OpenZeppelin's StandardMerkleTree). distributed <= funded and claimed <= distributed hold
     always, whatever root is posted. With a delay a new root can be revoked by the owner
     before anybody can claim by it; until then the root before it counts.
"""

from ethereum.ercs import IERC20
from modules import roles
from modules import tokens

initializes: roles
exports: roles.__interface__

event Funded:
    sender: indexed(address)
    amount: uint256

event Defunded:
    to: indexed(address)
    amount: uint256

event EpochPosted:
    epoch: indexed(uint256)
    root: bytes32
    total: uint256
    statement_hash: bytes32

event EpochRevoked:
    epoch: indexed(uint256)
    root: bytes32
    total: uint256

event DelayChanged:
    delay: uint256

event Claimed:
    account: indexed(address)
    amount: uint256
    cumulative: uint256


# Bits of the pauses.
FUND: constant(uint256) = 1
CLAIM: constant(uint256) = 2
POST: constant(uint256) = 4

# A proof this long belongs to a tree of 2**40 accounts.
MAX_PROOF: constant(uint256) = 40
MAX_DELAY: constant(uint256) = 7 * 86400

token: public(immutable(address))
source: public(immutable(address))  # the pool or vault whose stake earns

funded: public(uint256)
distributed: public(uint256)  # sum of the epochs' totals
claimed_total: public(uint256)
claimed: public(HashMap[address, uint256])
last_epoch: public(uint256)
delay: public(uint256)  # seconds from posting a root to the first claim by it

_root: bytes32
# The root posted last, the second it counts from, and the total that came with it.
_next_root: bytes32
_next_at: uint256
_next_total: uint256


@deploy
def __init__(token_: address, source_: address, owner: address, operator: address, guardian: address):
    assert token_.is_contract and source_.is_contract, "not a contract"
    token = token_
    source = source_
    roles.__init__(owner, operator, guardian, FUND | CLAIM | POST, CLAIM)


@external
def fund(amount: uint256):
    """
    @notice Add to what epochs may distribute; anybody may. Credits what arrived.
    """
    roles._not_paused(FUND)
    arrived: uint256 = tokens._pull(token, msg.sender, amount)
    self.funded += arrived
    log Funded(sender=msg.sender, amount=arrived)


@external
def defund(amount: uint256, to: address):
    """
    @notice Take back what was funded and not distributed; the owner alone may.
    """
    roles._only_owner()
    assert amount != 0, "zero amount"
    assert amount <= self.funded - self.distributed, "funds"
    self.funded -= amount
    tokens._push(token, to, amount)
    log Defunded(to=to, amount=amount)


@external
def post_epoch(epoch: uint256, root: bytes32, total: uint256, statement_hash: bytes32):
    """
    @notice Close an epoch; the operator alone may, each epoch once and in order from 1.
    @param root The tree of everything earned up to and with this epoch. Zero only as long as
           nothing was ever distributed, for then there is no leaf.
    @param total What this epoch adds to all accounts together.
    @param statement_hash The hash of the statement that explains it.
    """
    roles._only_operator()
    roles._not_paused(POST)
    assert epoch == self.last_epoch + 1, "epoch"
    assert block.timestamp >= self._next_at, "too soon"
    assert total <= self.funded - self.distributed, "funds"
    assert root != empty(bytes32) or self.distributed + total == 0, "root"
    self._root = self._next_root
    self._next_root = root
    self._next_at = block.timestamp + self.delay
    self._next_total = total
    self.last_epoch = epoch
    self.distributed += total
    log EpochPosted(epoch=epoch, root=root, total=total, statement_hash=statement_hash)


@external
def revoke_epoch():
    """
    @notice Take back the epoch posted last while its delay runs; the owner alone may.
    """
    roles._only_owner()
    assert block.timestamp < self._next_at, "too late"
    epoch: uint256 = self.last_epoch
    log EpochRevoked(epoch=epoch, root=self._next_root, total=self._next_total)
    self.distributed -= self._next_total
    self.last_epoch = epoch - 1
    self._next_root = self._root
    self._next_at = 0
    self._next_total = 0


@external
def set_delay(delay: uint256):
    """
    @notice Set the seconds between a root and the first claim by it, at most a week; the owner
            alone may. Must be shorter than an epoch, since epochs wait for it.
    """
    roles._only_owner()
    assert delay <= MAX_DELAY, "too long"
    self.delay = delay
    log DelayChanged(delay=delay)


@external
def claim(account: address, cumulative: uint256, proof: DynArray[bytes32, MAX_PROOF]) -> uint256:
    """
    @notice Pay an account what it has earned and not taken; anybody may call, the account is paid.
    """
    roles._not_paused(CLAIM)
    assert self._proves(account, cumulative, proof), "proof"
    before: uint256 = self.claimed[account]
    assert cumulative > before, "nothing to claim"
    amount: uint256 = cumulative - before
    assert amount <= self.distributed - self._held_back() - self.claimed_total, "distributed"
    self.claimed[account] = cumulative
    self.claimed_total += amount
    tokens._push(token, account, amount)
    log Claimed(account=account, amount=amount, cumulative=cumulative)
    return amount


@external
@view
def claimable(account: address, cumulative: uint256, proof: DynArray[bytes32, MAX_PROOF]) -> uint256:
    """
    @notice What `claim` with the same arguments would pay now; 0 if the proof is none.
    """
    before: uint256 = self.claimed[account]
    if roles._paused(CLAIM) or cumulative <= before or not self._proves(account, cumulative, proof):
        return 0
    return cumulative - before


@external
@view
def root() -> bytes32:
    """
    @notice The root by which claims are checked now.
    """
    return self._current_root()


@external
@view
def next_root() -> (bytes32, uint256):
    """
    @notice The root posted last and the second it counts from.
    """
    return self._next_root, self._next_at


@external
def rescue(other: address, to: address):
    """
    @notice Send out what is here beyond the books; the owner alone may.
    @dev The last check holds for a token that has two addresses as well.
    """
    roles._only_owner()
    held: uint256 = self.funded - self.claimed_total
    amount: uint256 = staticcall IERC20(other).balanceOf(self)
    if other == token:
        amount -= held
    tokens._push(other, to, amount)
    assert staticcall IERC20(token).balanceOf(self) >= held, "principal"


@internal
@view
def _current_root() -> bytes32:
    return self._next_root if block.timestamp >= self._next_at else self._root


@internal
@view
def _held_back() -> uint256:
    """
    @dev What was distributed by a root that does not count yet.
    """
    return 0 if block.timestamp >= self._next_at else self._next_total


@internal
@view
def _proves(account: address, cumulative: uint256, proof: DynArray[bytes32, MAX_PROOF]) -> bool:
    node: bytes32 = keccak256(keccak256(abi_encode(account, cumulative)))
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    return node == self._current_root()

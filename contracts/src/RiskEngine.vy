# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title RiskEngine
@notice The limits of vaults: how much may come in, and how much may go out at once in a rolling
        day. A vault asks before it moves anything. Zero means no limit. The owner sets limits;
        operator and guardian may only tighten what comes in, never what goes out.
@dev The rolling day is 24 hour buckets and the hour that runs, so it is never shorter than
     24 hours and at most one hour longer. Books are kept under the caller's address, so only a
     vault itself can use up its limits.
"""

from interfaces import IRiskEngine
from modules import roles

implements: IRiskEngine
initializes: roles
exports: (
    roles.owner,
    roles.pending_owner,
    roles.operator,
    roles.guardian,
    roles.transfer_ownership,
    roles.accept_ownership,
    roles.set_operator,
    roles.set_guardian,
)

interface LimitedVault:
    def set_limited(limited: bool): nonpayable

# Amounts in base units of the vault's asset; 0 is no limit.
struct Limits:
    tvl_cap: uint256  # all that the vault holds for shares
    deposit_cap: uint256  # one deposit
    user_cap: uint256  # all that one holder's shares are worth
    withdraw_limit: uint256  # all instant withdrawals in a rolling day
    user_withdraw_limit: uint256  # those of one holder

event LimitsSet:
    vault: indexed(address)
    tvl_cap: uint256
    deposit_cap: uint256
    user_cap: uint256
    withdraw_limit: uint256
    user_withdraw_limit: uint256
    by: indexed(address)

struct Window:
    hour: uint256  # the hour, since 1970, of the last entry
    total: uint256  # sum of the buckets then


HOUR: constant(uint256) = 3600
BUCKETS: constant(uint256) = 25

# One word for a deposit without user cap: tvl_cap (112 bits), deposit_cap (112 bits) << 112,
# and above them which of the other limits are set.
CAP_BITS: constant(uint256) = 112
CAP_MASK: constant(uint256) = 2**112 - 1
HAS_USER_CAP: constant(uint256) = 1 << 224
HAS_WITHDRAW_LIMIT: constant(uint256) = 1 << 225
HAS_USER_WITHDRAW_LIMIT: constant(uint256) = 1 << 226

_caps: HashMap[address, uint256]
_user_cap: HashMap[address, uint256]
_withdraw_limit: HashMap[address, uint256]
_user_withdraw_limit: HashMap[address, uint256]
# By vault and holder; the vault itself stands for all its holders.
_windows: HashMap[address, HashMap[address, Window]]
_buckets: HashMap[address, HashMap[address, uint256[BUCKETS]]]


@deploy
def __init__(owner: address, operator: address, guardian: address):
    roles.__init__(owner, operator, guardian, 0, 0)


@external
def set_limits(vault: address, limits: Limits):
    """
    @notice Set every limit of a vault; the owner alone may. Zero is no limit.
    """
    roles._only_owner()
    self._set(vault, limits)


@external
def tighten(vault: address, tvl_cap: uint256, deposit_cap: uint256, user_cap: uint256):
    """
    @notice Lower limits of what comes in; operator, guardian or owner may. Zero leaves one as it is.
    """
    assert (
        msg.sender == roles.operator or msg.sender == roles.guardian or msg.sender == roles.owner
    ), "not guardian"
    limits: Limits = self._limits(vault)
    limits.tvl_cap = self._tighter(limits.tvl_cap, tvl_cap)
    limits.deposit_cap = self._tighter(limits.deposit_cap, deposit_cap)
    limits.user_cap = self._tighter(limits.user_cap, user_cap)
    self._set(vault, limits)


@external
@view
def limits(vault: address) -> Limits:
    """
    @notice The limits of a vault; 0 is no limit.
    """
    return self._limits(vault)


@external
@view
def limited(vault: address) -> bool:
    """
    @notice Whether any limit is set for a vault.
    """
    return self._caps[vault] != 0


@external
@view
def check_deposit(tvl: uint256, held: uint256, amount: uint256) -> bool:
    """
    @notice Refuse a deposit into the calling vault that breaks a limit; else say yes.
    @param tvl What the vault holds for shares before it.
    @param held What the receiver's shares are worth before it.
    """
    caps: uint256 = self._caps[msg.sender]
    assert amount <= self._cap(caps >> CAP_BITS), "deposit cap"
    assert tvl + amount <= self._cap(caps), "tvl cap"
    if caps & HAS_USER_CAP != 0:
        assert held + amount <= self._user_cap[msg.sender], "user cap"
    return True


@external
def record_withdrawal(user: address, amount: uint256):
    """
    @notice Count an instant withdrawal from the calling vault; refuse one that breaks a limit.
    """
    caps: uint256 = self._caps[msg.sender]
    if caps & HAS_WITHDRAW_LIMIT != 0:
        used: uint256 = self._add(msg.sender, msg.sender, amount)
        assert used <= self._withdraw_limit[msg.sender], "withdraw limit"
    if caps & HAS_USER_WITHDRAW_LIMIT != 0:
        used: uint256 = self._add(msg.sender, user, amount)
        assert used <= self._user_withdraw_limit[msg.sender], "user withdraw limit"


@external
@view
def deposit_room(vault: address, tvl: uint256, held: uint256) -> uint256:
    """
    @notice The most that `check_deposit` would let pass.
    """
    caps: uint256 = self._caps[vault]
    cap: uint256 = self._cap(caps)
    room: uint256 = min(self._cap(caps >> CAP_BITS), cap - min(tvl, cap))
    if caps & HAS_USER_CAP != 0:
        cap = self._user_cap[vault]
        room = min(room, cap - min(held, cap))
    return room


@external
@view
def withdraw_room(vault: address, user: address) -> uint256:
    """
    @notice The most that `record_withdrawal` would let pass now.
    """
    caps: uint256 = self._caps[vault]
    room: uint256 = max_value(uint256)
    if caps & HAS_WITHDRAW_LIMIT != 0:
        limit: uint256 = self._withdraw_limit[vault]
        room = limit - min(self._used(vault, vault), limit)
    if caps & HAS_USER_WITHDRAW_LIMIT != 0:
        limit: uint256 = self._user_withdraw_limit[vault]
        room = min(room, limit - min(self._used(vault, user), limit))
    return room


@external
@view
def withdrawn_today(vault: address, user: address) -> uint256:
    """
    @notice What went out in the rolling day; give the vault itself as user for all holders.
    """
    return self._used(vault, user)


@internal
@pure
def _cap(word: uint256) -> uint256:
    cap: uint256 = word & CAP_MASK
    return cap if cap != 0 else max_value(uint256)


@internal
@pure
def _tighter(old: uint256, new: uint256) -> uint256:
    if new == 0:
        return old
    assert old == 0 or new <= old, "looser"
    return new


@internal
@view
def _limits(vault: address) -> Limits:
    caps: uint256 = self._caps[vault]
    return Limits(
        tvl_cap=caps & CAP_MASK,
        deposit_cap=(caps >> CAP_BITS) & CAP_MASK,
        user_cap=self._user_cap[vault],
        withdraw_limit=self._withdraw_limit[vault],
        user_withdraw_limit=self._user_withdraw_limit[vault],
    )


@internal
def _set(vault: address, limits: Limits):
    assert limits.tvl_cap <= CAP_MASK and limits.deposit_cap <= CAP_MASK, "too large"
    caps: uint256 = limits.tvl_cap | limits.deposit_cap << CAP_BITS
    if limits.user_cap != 0:
        caps |= HAS_USER_CAP
    if limits.withdraw_limit != 0:
        caps |= HAS_WITHDRAW_LIMIT
    if limits.user_withdraw_limit != 0:
        caps |= HAS_USER_WITHDRAW_LIMIT
    self._caps[vault] = caps
    self._user_cap[vault] = limits.user_cap
    self._withdraw_limit[vault] = limits.withdraw_limit
    self._user_withdraw_limit[vault] = limits.user_withdraw_limit
    # A vault not deployed yet asks when it is.
    if vault.is_contract:
        extcall LimitedVault(vault).set_limited(caps != 0)
    log LimitsSet(
        vault=vault,
        tvl_cap=limits.tvl_cap,
        deposit_cap=limits.deposit_cap,
        user_cap=limits.user_cap,
        withdraw_limit=limits.withdraw_limit,
        user_withdraw_limit=limits.user_withdraw_limit,
        by=msg.sender,
    )


@internal
@view
def _used(vault: address, user: address) -> uint256:
    """
    @dev The window's sum less the buckets that have run out since its last entry.
    """
    window: Window = self._windows[vault][user]
    used: uint256 = window.total
    gone: uint256 = self._gone(window)
    for i: uint256 in range(gone, bound=BUCKETS):
        used -= self._buckets[vault][user][(window.hour + 1 + i) % BUCKETS]
    return used


@internal
@view
def _gone(window: Window) -> uint256:
    """
    @dev How many buckets have run out since the last entry; an empty window has none to empty.
    """
    if window.total == 0:
        return 0
    return min(block.timestamp // HOUR - window.hour, BUCKETS)


@internal
def _add(vault: address, user: address, amount: uint256) -> uint256:
    """
    @dev Empty the buckets that have run out, enter the amount, and return the window's sum.
    """
    window: Window = self._windows[vault][user]
    hour: uint256 = block.timestamp // HOUR
    used: uint256 = window.total
    gone: uint256 = self._gone(window)
    for i: uint256 in range(gone, bound=BUCKETS):
        bucket: uint256 = (window.hour + 1 + i) % BUCKETS
        stale: uint256 = self._buckets[vault][user][bucket]
        if stale != 0:
            used -= stale
            self._buckets[vault][user][bucket] = 0
    used += amount
    self._buckets[vault][user][hour % BUCKETS] += amount
    self._windows[vault][user] = Window(hour=hour, total=used)
    return used

# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title Vault
@notice An ERC-4626 vault: shares for an ERC-20 asset. What leaves is paid at once while the
        vault is liquid and within the day's limits; for the rest there is a queue, paid in
        order by push, with a pull for receivers that a push does not reach.
@dev Books are kept inside, so tokens sent to the vault change nobody's share. The rate has a
     virtual offset of 6 decimals, rounds against the user, and falls only by `report_loss`.
     Whoever queues has their assets fixed at that moment and set apart from the shares.
     assets of shares + queue + unclaimed = what is here + what is deployed.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from ethereum.ercs import IERC4626
from interfaces import IRiskEngine
from modules import erc20
from modules import roles
from modules import tokens

implements: IERC20
implements: IERC20Detailed
implements: IERC4626
initializes: erc20
initializes: roles
exports: (erc20.__interface__, roles.__interface__)

# One place in the queue.
struct Request:
    owner: address
    receiver: address
    assets: uint256
    at: uint256  # unix second
    state: uint256

event Deposit:
    sender: indexed(address)
    owner: indexed(address)
    assets: uint256
    shares: uint256

event Withdraw:
    sender: indexed(address)
    receiver: indexed(address)
    owner: indexed(address)
    assets: uint256
    shares: uint256

event RedeemRequested:
    id: indexed(uint256)
    owner: indexed(address)
    receiver: address
    shares: uint256
    assets: uint256

event RedeemPaid:
    id: indexed(uint256)
    receiver: indexed(address)
    assets: uint256

event RedeemClaimable:
    id: indexed(uint256)
    receiver: indexed(address)
    assets: uint256

event LossDeclared:
    assets: uint256

event FundsDeployed:
    to: indexed(address)
    assets: uint256

event FundsReturned:
    sender: indexed(address)
    assets: uint256

event DeploymentSet:
    treasury: indexed(address)
    cap: uint256

event MinRequestSet:
    assets: uint256

event Rescued:
    token: indexed(address)
    to: indexed(address)
    amount: uint256


# Bits of the pauses.
DEPOSIT: constant(uint256) = 1
WITHDRAW: constant(uint256) = 2
REQUEST: constant(uint256) = 4
PROCESS: constant(uint256) = 8

# States of a request.
QUEUED: constant(uint256) = 1
PAID: constant(uint256) = 2
CLAIMABLE: constant(uint256) = 3

OFFSET: constant(uint8) = 6
VIRTUAL_SHARES: constant(uint256) = 10**6
VIRTUAL_ASSETS: constant(uint256) = 1

# The word of the pauses also holds the assets of all shares (112 bits) and the supply of
# shares (128 bits), so that a deposit reads and writes one word for all three.
ASSETS_SHIFT: constant(uint256) = 16
SUPPLY_SHIFT: constant(uint256) = 128
FLAG_MASK: constant(uint256) = 2**16 - 1
# Set, beside the pauses, while the risk engine has limits for this vault; without any, a
# deposit saves the question.
LIMITED: constant(uint256) = 1 << 15
ASSETS_MASK: constant(uint256) = 2**112 - 1
SUPPLY_MASK: constant(uint256) = 2**128 - 1

MAX_PROCESS: constant(uint256) = 200
# When the head of the queue has waited this long, anybody may process it.
OVERDUE: constant(uint256) = 7 * 86400

asset: public(immutable(address))
risk: public(immutable(address))
decimals: public(immutable(uint8))

queued_assets: public(uint256)  # owed to requests that wait
unclaimed_assets: public(uint256)  # owed to requests that wait for a pull
deployed_assets: public(uint256)  # out of the vault, at the treasury
deployment_cap: public(uint256)
treasury: public(address)
# Came in by this transaction and did not leave by it yet, counted while there are limits.
_entered: transient(uint256)
min_request: public(uint256)  # assets, unless all shares are redeemed
requests: public(HashMap[uint256, Request])
queue_head: public(uint256)  # the id that is paid next
queue_tail: public(uint256)  # the id that is given next


@deploy
def __init__(
    asset_: address,
    name: String[64],
    symbol: String[16],
    risk_: address,
    owner: address,
    operator: address,
    guardian: address,
):
    assert asset_.is_contract and risk_.is_contract, "not a contract"
    asset = asset_
    risk = risk_
    decimals = staticcall IERC20Detailed(asset_).decimals() + OFFSET
    erc20.__init__(name, symbol)
    roles.__init__(
        owner,
        operator,
        guardian,
        DEPOSIT | WITHDRAW | REQUEST | PROCESS,
        WITHDRAW | REQUEST | PROCESS,
    )
    self.queue_head = 1
    self.queue_tail = 1
    if staticcall IRiskEngine(risk_).limited(self):
        roles._word = LIMITED


# ERC-4626: in


@external
def deposit(assets: uint256, receiver: address) -> uint256:
    """
    @notice Put in `assets` and get shares, rounded down.
    """
    total: uint256 = self._total_assets()
    supply: uint256 = self._supply()
    shares: uint256 = assets * (supply + VIRTUAL_SHARES) // (total + VIRTUAL_ASSETS)
    self._enter(assets, shares, receiver, total, supply)
    return shares


@external
def mint(shares: uint256, receiver: address) -> uint256:
    """
    @notice Get `shares` for assets, rounded up.
    """
    total: uint256 = self._total_assets()
    supply: uint256 = self._supply()
    assets: uint256 = self._up(shares * (total + VIRTUAL_ASSETS), supply + VIRTUAL_SHARES)
    self._enter(assets, shares, receiver, total, supply)
    return assets


# ERC-4626: out


@external
def withdraw(assets: uint256, receiver: address, owner: address) -> uint256:
    """
    @notice Take out `assets` at once for shares, rounded up.
    """
    shares: uint256 = self._shares_up(assets)
    self._leave(assets, shares, receiver, owner)
    return shares


@external
def redeem(shares: uint256, receiver: address, owner: address) -> uint256:
    """
    @notice Give back `shares` for assets, rounded down, paid at once.
    """
    assets: uint256 = self._assets(shares)
    self._leave(assets, shares, receiver, owner)
    return assets


# The queue


@external
def request_redeem(shares: uint256, receiver: address, owner: address) -> uint256:
    """
    @notice Give back `shares` for a place in the queue; returns its id. The assets are fixed
            now, and no later loss touches them.
    """
    roles._not_paused(REQUEST)
    assert receiver != empty(address) and receiver != self, "receiver"
    assets: uint256 = self._assets(shares)
    assert assets != 0, "zero assets"
    assert assets >= self.min_request or shares == erc20.balanceOf[owner], "too small"
    self._burn(owner, shares, assets)
    self.queued_assets += assets
    id: uint256 = self.queue_tail
    self.queue_tail = id + 1
    self.requests[id] = Request(
        owner=owner, receiver=receiver, assets=assets, at=block.timestamp, state=QUEUED
    )
    log RedeemRequested(id=id, owner=owner, receiver=receiver, shares=shares, assets=assets)
    return id


@external
def process_queue(most: uint256) -> uint256:
    """
    @notice Pay up to `most` requests in order while there is enough here; returns how many left
            the queue. The operator may, and anybody once the first has waited a week.
    @dev A request whose payment fails leaves the queue too and waits to be claimed.
    """
    roles._not_paused(PROCESS)
    head: uint256 = self.queue_head
    tail: uint256 = self.queue_tail
    if msg.sender != roles.operator:
        assert (
            head != tail and block.timestamp >= self.requests[head].at + OVERDUE
        ), "not operator"
    assert most <= MAX_PROCESS, "too many"
    liquid: uint256 = self._liquid(self._total_assets() + self.queued_assets)
    before: uint256 = staticcall IERC20(asset).balanceOf(self)
    paid: uint256 = 0
    kept: uint256 = 0
    done: uint256 = 0
    for i: uint256 in range(most, bound=MAX_PROCESS):
        id: uint256 = head + i
        if id == tail:
            break
        assets: uint256 = self.requests[id].assets
        if paid + kept + assets > liquid:
            break
        done += 1
        receiver: address = self.requests[id].receiver
        if tokens._try_push(asset, receiver, assets):
            self.requests[id].state = PAID
            paid += assets
            log RedeemPaid(id=id, receiver=receiver, assets=assets)
        else:
            self.requests[id].state = CLAIMABLE
            kept += assets
            log RedeemClaimable(id=id, receiver=receiver, assets=assets)
    self.queue_head = head + done
    self.queued_assets -= paid + kept
    self.unclaimed_assets += kept
    assert staticcall IERC20(asset).balanceOf(self) + paid >= before, "token took more"
    return done


@external
def claim_queued(id: uint256, receiver: address = empty(address)):
    """
    @notice Pay a request whose push failed. Anybody may, to the receiver that was named; the
            request's owner may name another.
    """
    roles._not_paused(PROCESS)
    request: Request = self.requests[id]
    assert request.state == CLAIMABLE, "not claimable"
    to: address = request.receiver
    if receiver != empty(address) and receiver != to:
        assert msg.sender == request.owner, "not request owner"
        to = receiver
    self.requests[id].state = PAID
    self.unclaimed_assets -= request.assets
    tokens._push(asset, to, request.assets)
    log RedeemPaid(id=id, receiver=to, assets=request.assets)


# What owner and operator do


@external
def report_loss(amount: uint256):
    """
    @notice Declare assets lost; the owner alone may. The only way for the rate to fall.
    @dev Only what is missing here or could be missing where it was deployed can be declared,
         and the shares alone bear it.
    """
    roles._only_owner()
    total: uint256 = self._total_assets()
    assert amount != 0, "zero amount"
    assert amount <= total, "more than assets"
    held: uint256 = staticcall IERC20(asset).balanceOf(self)
    booked: uint256 = self._booked()
    missing: uint256 = booked - min(held, booked)
    if amount > missing:
        assert amount - missing <= self.deployed_assets, "no such loss"
        self.deployed_assets -= amount - missing
    self._set_totals(total - amount, self._supply())
    log LossDeclared(assets=amount)


@external
def deploy_funds(amount: uint256):
    """
    @notice Send assets that nobody in the queue waits for to the treasury; the operator alone
            may, up to the owner's cap. The cap is zero until the owner sets one.
    """
    roles._only_operator()
    assert amount != 0, "zero amount"
    assert amount <= self._liquid(self._total_assets()), "illiquid"
    assert self.deployed_assets + amount <= self.deployment_cap, "deployment cap"
    self.deployed_assets += amount
    tokens._push(asset, self.treasury, amount)
    log FundsDeployed(to=self.treasury, assets=amount)


@external
def return_funds(amount: uint256):
    """
    @notice Bring deployed assets back; anybody may.
    """
    assert amount <= self.deployed_assets, "more than deployed"
    arrived: uint256 = tokens._pull(asset, msg.sender, amount)
    assert arrived <= amount, "token gave more"
    self.deployed_assets -= arrived
    log FundsReturned(sender=msg.sender, assets=arrived)


@external
def set_deployment(treasury: address, cap: uint256):
    """
    @notice Set where assets may be deployed and how many at most; the owner alone may.
    """
    roles._only_owner()
    assert cap == 0 or (treasury != empty(address) and treasury != self), "treasury"
    self.treasury = treasury
    self.deployment_cap = cap
    log DeploymentSet(treasury=treasury, cap=cap)


@external
def set_min_request(assets: uint256):
    """
    @notice Set the least a request may be worth, against floods of tiny ones; the owner alone may.
    """
    roles._only_owner()
    self.min_request = assets
    log MinRequestSet(assets=assets)


@external
def set_limited(limited: bool):
    """
    @notice Learn whether there are limits to ask for; the risk engine alone calls this.
    """
    assert msg.sender == risk, "not risk engine"
    if limited:
        roles._word |= LIMITED
    else:
        roles._word &= ~LIMITED


@external
def rescue(token: address, to: address):
    """
    @notice Send out what is here beyond the books; the owner alone may.
    @dev The last check holds for a token that has two addresses as well.
    """
    roles._only_owner()
    booked: uint256 = self._booked()
    amount: uint256 = staticcall IERC20(token).balanceOf(self)
    if token == asset:
        amount -= booked
    tokens._push(token, to, amount)
    assert staticcall IERC20(asset).balanceOf(self) >= booked, "principal"
    log Rescued(token=token, to=to, amount=amount)


# Views


@external
@view
def totalSupply() -> uint256:
    return self._supply()


@external
@view
def totalAssets() -> uint256:
    """
    @notice The assets of all shares; what is queued or unclaimed is not among them.
    """
    return self._total_assets()


@external
@view
def liquid_assets() -> uint256:
    """
    @notice What can be withdrawn at once by everybody together, limits aside.
    """
    return self._liquid(self._total_assets())


@external
@view
def convertToShares(assets: uint256) -> uint256:
    return self._shares(assets)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    return self._assets(shares)


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    return self._shares(assets)


@external
@view
def previewMint(shares: uint256) -> uint256:
    return self._assets_up(shares)


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    return self._shares_up(assets)


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    return self._assets(shares)


@external
@view
def maxDeposit(receiver: address) -> uint256:
    return self._max_deposit(receiver)


@external
@view
def maxMint(receiver: address) -> uint256:
    return self._shares(self._max_deposit(receiver))


@external
@view
def maxWithdraw(owner: address) -> uint256:
    return min(self._assets(erc20.balanceOf[owner]), self._max_out(owner))


@external
@view
def maxRedeem(owner: address) -> uint256:
    shares: uint256 = erc20.balanceOf[owner]
    most: uint256 = self._max_out(owner)
    return shares if self._assets(shares) <= most else self._shares(most)


# Inside


@internal
def _enter(assets: uint256, shares: uint256, receiver: address, total: uint256, supply: uint256):
    roles._not_paused(DEPOSIT)
    assert shares != 0, "zero shares"
    assert total + assets <= ASSETS_MASK and supply + shares <= SUPPLY_MASK, "too large"
    held: uint256 = (
        erc20.balanceOf[receiver] * (total + VIRTUAL_ASSETS) // (supply + VIRTUAL_SHARES)
    )
    if roles._word & LIMITED != 0:
        assert staticcall IRiskEngine(risk).check_deposit(total, held, assets), "risk"
        self._entered += assets
    # Shares were promised for all of it, so a token that takes a fee has no place here.
    assert tokens._pull(asset, msg.sender, assets) >= assets, "fee token"
    self._set_totals(total + assets, supply + shares)
    erc20._mint(receiver, shares)
    log Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)


@internal
def _leave(assets: uint256, shares: uint256, receiver: address, owner: address):
    roles._not_paused(WITHDRAW)
    assert assets != 0, "zero assets"
    assert assets <= self._liquid(self._total_assets()), "illiquid"
    self._burn(owner, shares, assets)
    if roles._word & LIMITED != 0:
        # What one transaction brings and takes uses up nobody's day: else a loan of a moment
        # would shut the exit for everybody.
        back: uint256 = min(self._entered, assets)
        self._entered -= back
        if back != assets:
            extcall IRiskEngine(risk).record_withdrawal(owner, assets - back)
    tokens._push(asset, receiver, assets)
    log Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)


@internal
def _burn(owner: address, shares: uint256, assets: uint256):
    """
    @dev Take the shares from their owner, who is the caller or allowed it, and their assets out.
    """
    if msg.sender != owner:
        erc20._spend(owner, msg.sender, shares)
    erc20._burn(owner, shares)
    self._set_totals(self._total_assets() - assets, self._supply() - shares)


@internal
@view
def _max_deposit(receiver: address) -> uint256:
    if roles._paused(DEPOSIT):
        return 0
    total: uint256 = self._total_assets()
    room: uint256 = staticcall IRiskEngine(risk).deposit_room(
        self, total, self._assets(erc20.balanceOf[receiver])
    )
    # Half of the supply that is left, so that the rate cannot carry the shares beyond it.
    by_supply: uint256 = self._assets((SUPPLY_MASK - self._supply()) // 2)
    return min(room, min(ASSETS_MASK - total, by_supply))


@internal
@view
def _max_out(owner: address) -> uint256:
    if roles._paused(WITHDRAW):
        return 0
    return min(
        self._liquid(self._total_assets()),
        staticcall IRiskEngine(risk).withdraw_room(self, owner),
    )


@internal
@view
def _liquid(claims: uint256) -> uint256:
    """
    @dev What of these claims is here and not deployed.
    """
    return claims - min(self.deployed_assets, claims)


@internal
@view
def _booked() -> uint256:
    """
    @dev What must be here by the books.
    """
    return self._liquid(self._total_assets() + self.queued_assets + self.unclaimed_assets)


@internal
@view
def _total_assets() -> uint256:
    return (roles._word >> ASSETS_SHIFT) & ASSETS_MASK


@internal
@view
def _supply() -> uint256:
    return roles._word >> SUPPLY_SHIFT


@internal
def _set_totals(assets: uint256, supply: uint256):
    roles._word = (roles._word & FLAG_MASK) | assets << ASSETS_SHIFT | supply << SUPPLY_SHIFT


@internal
@view
def _shares(assets: uint256) -> uint256:
    return assets * (self._supply() + VIRTUAL_SHARES) // (self._total_assets() + VIRTUAL_ASSETS)


@internal
@view
def _shares_up(assets: uint256) -> uint256:
    return self._up(
        assets * (self._supply() + VIRTUAL_SHARES), self._total_assets() + VIRTUAL_ASSETS
    )


@internal
@view
def _assets(shares: uint256) -> uint256:
    return shares * (self._total_assets() + VIRTUAL_ASSETS) // (self._supply() + VIRTUAL_SHARES)


@internal
@view
def _assets_up(shares: uint256) -> uint256:
    return self._up(
        shares * (self._total_assets() + VIRTUAL_ASSETS), self._supply() + VIRTUAL_SHARES
    )


@internal
@pure
def _up(product: uint256, divisor: uint256) -> uint256:
    return (product + divisor - 1) // divisor

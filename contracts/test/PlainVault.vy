# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title PlainVault
@notice The least that is an ERC-4626 vault: the rate is what it holds by its shares, with the
        virtual offset that libraries have. No limits, pauses, queue, lock or books, so a
        donation moves the rate. Gas is compared with it, nothing else.
"""

from ethereum.ercs import IERC20
from modules import erc20

implements: IERC20
initializes: erc20
exports: erc20.__interface__

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


asset: public(immutable(address))

totalSupply: public(uint256)


@deploy
def __init__(asset_: address):
    asset = asset_
    erc20.__init__("Plain", "P")


@external
@view
def totalAssets() -> uint256:
    return self._total_assets()


@external
def deposit(assets: uint256, receiver: address) -> uint256:
    supply: uint256 = self.totalSupply
    shares: uint256 = assets * (supply + 10**6) // (self._total_assets() + 1)
    assert extcall IERC20(asset).transferFrom(msg.sender, self, assets)
    self.totalSupply = supply + shares
    erc20._mint(receiver, shares)
    log Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)
    return shares


@external
def withdraw(assets: uint256, receiver: address, owner: address) -> uint256:
    supply: uint256 = self.totalSupply
    total: uint256 = self._total_assets() + 1
    shares: uint256 = (assets * (supply + 10**6) + total - 1) // total
    if msg.sender != owner:
        erc20._spend(owner, msg.sender, shares)
    erc20._burn(owner, shares)
    self.totalSupply = supply - shares
    assert extcall IERC20(asset).transfer(receiver, assets)
    log Withdraw(sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares)
    return shares


@internal
@view
def _total_assets() -> uint256:
    return staticcall IERC20(asset).balanceOf(self)

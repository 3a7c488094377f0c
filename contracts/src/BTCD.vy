# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title BTCD
@notice A token for tests and demonstrations: ERC-20 with permit, minted by its owner.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from modules import erc20

implements: IERC20
implements: IERC20Detailed
initializes: erc20
exports: erc20.__interface__

decimals: public(constant(uint8)) = 18

owner: public(address)
totalSupply: public(uint256)


@deploy
def __init__(owner: address):
    assert owner != empty(address), "zero address"
    erc20.__init__("BTCD", "BTCD")
    self.owner = owner


@external
def mint(receiver: address, amount: uint256):
    """
    @notice Make new tokens; the owner alone may.
    """
    assert msg.sender == self.owner, "not owner"
    self.totalSupply += amount
    erc20._mint(receiver, amount)

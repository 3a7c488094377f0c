# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title BTCD
@notice A token for tests and demonstrations: ERC-20 with permit, minted by its owner.
"""

from modules import erc20

initializes: erc20
exports: erc20.__interface__

owner: public(address)


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
    erc20._mint(receiver, amount)

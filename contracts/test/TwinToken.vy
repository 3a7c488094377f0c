# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title TwinToken
@notice A second address of an OddToken: same balances, other address.
"""

interface Odd:
    def balanceOf(holder: address) -> uint256: view
    def twin_transfer(sender: address, receiver: address, amount: uint256) -> uint256: nonpayable


target: immutable(address)


@deploy
def __init__(target_: address):
    target = target_


@external
@view
def balanceOf(holder: address) -> uint256:
    return staticcall Odd(target).balanceOf(holder)


@external
def transfer(receiver: address, amount: uint256) -> bool:
    return extcall Odd(target).twin_transfer(msg.sender, receiver, amount) == 1

# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title NoRisk
@notice A risk engine that says no to every deposit.
"""


@external
@view
def limited(vault: address) -> bool:
    return True


@external
@view
def check_deposit(tvl: uint256, held: uint256, amount: uint256) -> bool:
    return False

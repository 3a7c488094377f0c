# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title Moving tokens that may be odd
@notice Takes tokens by what arrived, sends them so that exactly as much
        leaves, and tries a payment without failing the caller.
        A token without return value counts as one that returns true.
"""

from ethereum.ercs import IERC20

# What one payment of a batch may burn; a payee or a token that wants more fails alone.
PAYMENT_GAS: constant(uint256) = 200_000
# A payment starts only with this much left, so that its 63/64 (EIP-150) is the whole of
# PAYMENT_GAS: nobody can make a payment fail by starting the batch with little gas.
PAYMENT_RESERVE: constant(uint256) = 260_000


@internal
def _pull(token: address, sender: address, amount: uint256) -> uint256:
    """
    @dev Take `amount` from `sender` and return what arrived, which a token with a fee makes less.
    """
    assert amount != 0, "zero amount"
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transferFrom(
        sender, self, amount, default_return_value=True
    ), "transfer failed"
    arrived: uint256 = staticcall IERC20(token).balanceOf(self) - before
    assert arrived != 0, "nothing arrived"
    return arrived


@internal
def _push(token: address, receiver: address, amount: uint256):
    """
    @dev Send `amount`, and refuse a token that takes more from us than that.
    """
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "transfer failed"
    assert staticcall IERC20(token).balanceOf(self) + amount >= before, "token took more"


@internal
def _try_push(token: address, receiver: address, amount: uint256) -> bool:
    """
    @dev Send `amount` and say whether it went; the caller counts the balance afterwards.
    """
    assert msg.gas >= PAYMENT_RESERVE, "gas"
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        token,
        abi_encode(receiver, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        gas=PAYMENT_GAS,
        revert_on_failure=False,
    )
    return success and (len(answer) == 0 or convert(answer, uint256) == 1)


@internal
def _permit(
    token: address, holder: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @dev Use an ERC-2612 permit. One that fails is passed over: somebody may have sent
         it before us to make us fail, and then the allowance is there already.
    """
    success: bool = raw_call(
        token,
        abi_encode(
            holder,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )

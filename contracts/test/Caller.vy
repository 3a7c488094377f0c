# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title Caller
@notice A contract as a user: makes any call, and when a token calls it back, makes the one it
        was armed with and remembers how that ended.
"""

target: address
data: Bytes[8192]
armed: public(bool)
calls: public(uint256)
succeeded: public(bool)
answer: public(Bytes[256])


@external
@payable
def run(target: address, data: Bytes[65536]):
    raw_call(target, data)


@external
def run_twice(target: address, first: Bytes[8192], second: Bytes[8192]):
    """
    @notice Two calls in one transaction, as a flash stake needs.
    """
    raw_call(target, first)
    raw_call(target, second)


@external
def arm(target: address, data: Bytes[8192]):
    self.target = target
    self.data = data
    self.armed = True


@external
def on_transfer(sender: address, receiver: address, amount: uint256):
    self.calls += 1
    if not self.armed:
        return
    self.armed = False
    self.succeeded, self.answer = raw_call(
        self.target, self.data, max_outsize=256, revert_on_failure=False
    )

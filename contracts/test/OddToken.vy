# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title OddToken
@notice A token that misbehaves as told: it takes a fee, takes more than was sent, lies about
        success, refuses addresses, burns gas, hides balances, calls back, or has a second address.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

interface Hook:
    def on_transfer(sender: address, receiver: address, amount: uint256): nonpayable


decimals: public(uint8)
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])

fee_bps: public(uint256)  # kept from what arrives
bonus: public(uint256)  # added to what arrives
extra: public(uint256)  # taken from the sender beyond the amount
refuses: public(HashMap[address, bool])  # reverts on a transfer to or from it
lies: public(HashMap[address, bool])  # says false and moves nothing
moves_and_lies: public(HashMap[address, bool])  # moves, and says false
silent: public(HashMap[address, bool])  # says true and moves nothing
answers: public(HashMap[address, uint256])  # says this number, if not 0
hungry: public(HashMap[address, bool])  # burns all gas
hook: public(HashMap[address, address])  # called when the address sends or receives
twin: public(address)
seized: uint256


@deploy
def __init__(decimals: uint8):
    self.decimals = decimals


@external
def mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount


@external
def seize(holder: address, amount: uint256):
    """
    @notice Take tokens away, as a rebase or a freeze would.
    """
    self.totalSupply -= amount
    self.balanceOf[holder] -= amount


@external
def set_rates(fee_bps: uint256, bonus: uint256, extra: uint256):
    self.fee_bps = fee_bps
    self.bonus = bonus
    self.extra = extra


@external
def set_odd(
    who: address, refuses: bool, lies: bool, moves_and_lies: bool, silent: bool, hungry: bool
):
    self.refuses[who] = refuses
    self.lies[who] = lies
    self.moves_and_lies[who] = moves_and_lies
    self.silent[who] = silent
    self.hungry[who] = hungry


@external
def set_answer(who: address, answer: uint256):
    self.answers[who] = answer


@external
def set_hook(who: address, hook: address):
    self.hook[who] = hook


@external
def set_twin(twin: address):
    self.twin = twin


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def transfer(receiver: address, amount: uint256) -> uint256:
    return self._move(msg.sender, receiver, amount)


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> uint256:
    self.allowance[sender][msg.sender] -= amount
    return self._move(sender, receiver, amount)


@external
def twin_transfer(sender: address, receiver: address, amount: uint256) -> uint256:
    assert msg.sender == self.twin
    return self._move(sender, receiver, amount)


@internal
def _move(sender: address, receiver: address, amount: uint256) -> uint256:
    assert not self.refuses[receiver] and not self.refuses[sender], "refused"
    if self.hungry[receiver]:
        for i: uint256 in range(1000000):
            self.seized += 1
    if self.lies[receiver]:
        return 0
    if not self.silent[receiver]:
        self.balanceOf[sender] -= amount + self.extra
        self.balanceOf[receiver] += amount - amount * self.fee_bps // 10_000 + self.bonus
    log Transfer(sender=sender, receiver=receiver, amount=amount)
    for party: address in [sender, receiver]:
        if self.hook[party] != empty(address):
            extcall Hook(self.hook[party]).on_transfer(sender, receiver, amount)
    if self.moves_and_lies[receiver]:
        return 0
    return self.answers[receiver] if self.answers[receiver] != 0 else 1

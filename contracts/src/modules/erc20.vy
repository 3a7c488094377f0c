# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title ERC-20 with permit
@notice Balances, allowances and ERC-2612 permits. The contract that uses this keeps the total
        supply (it may share a word with other figures) and tells the decimals.
        An allowance of max_value(uint256) is not used up.
@dev Nothing here calls out, so nothing here takes the reentrancy lock: a token that calls back
     while a vault moves it finds the shares as they were or as they are, never in between.
     ERC-20, ERC-2612, EIP-712. Signatures with a high `s` are refused (EIP-2).
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256


DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
PERMIT_TYPE: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
# Half of the order of secp256k1.
HALF_ORDER: constant(uint256) = (
    57896044618658097711785492504343953926418782139537452191302581570759080747168
)

NAME_HASH: immutable(bytes32)

name: public(String[64])
symbol: public(String[16])
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])


@deploy
def __init__(name: String[64], symbol: String[16]):
    self.name = name
    self.symbol = symbol
    NAME_HASH = keccak256(name)


@internal
def _mint(receiver: address, amount: uint256):
    assert receiver != empty(address), "zero address"
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)


@internal
def _burn(holder: address, amount: uint256):
    assert self.balanceOf[holder] >= amount, "balance"
    self.balanceOf[holder] -= amount
    log Transfer(sender=holder, receiver=empty(address), amount=amount)


@internal
def _move(sender: address, receiver: address, amount: uint256):
    assert receiver != empty(address) and receiver != self, "receiver"
    assert self.balanceOf[sender] >= amount, "balance"
    self.balanceOf[sender] -= amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, amount=amount)


@internal
def _spend(owner: address, spender: address, amount: uint256):
    allowed: uint256 = self.allowance[owner][spender]
    if allowed != max_value(uint256):
        assert allowed >= amount, "allowance"
        self.allowance[owner][spender] = allowed - amount


@internal
def _allow(owner: address, spender: address, amount: uint256):
    self.allowance[owner][spender] = amount
    log Approval(owner=owner, spender=spender, amount=amount)


@internal
@view
def _domain() -> bytes32:
    return keccak256(
        abi_encode(DOMAIN_TYPE, NAME_HASH, keccak256("1"), chain.id, self)
    )


@external
def transfer(receiver: address, amount: uint256) -> bool:
    self._move(msg.sender, receiver, amount)
    return True


@external
def transferFrom(sender: address, receiver: address, amount: uint256) -> bool:
    self._spend(sender, msg.sender, amount)
    self._move(sender, receiver, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self._allow(msg.sender, spender, amount)
    return True


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@external
def permit(
    owner: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice Set an allowance by the owner's signature (ERC-2612).
    """
    assert block.timestamp <= deadline, "expired"
    assert convert(s, uint256) <= HALF_ORDER, "signature"
    nonce: uint256 = self.nonces[owner]
    digest: bytes32 = keccak256(
        concat(
            b"\x19\x01",
            self._domain(),
            keccak256(abi_encode(PERMIT_TYPE, owner, spender, amount, nonce, deadline)),
        )
    )
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address) and signer == owner, "signature"
    self.nonces[owner] = nonce + 1
    self._allow(owner, spender, amount)

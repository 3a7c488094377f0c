# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title TestSafe
@notice A small multi-signature account with the hashes, signatures, errors and events of
        Safe 1.4.1, to test proposals against. Plain calls only; no modules, no refunds.
@dev EIP-712 with the domain (chainId, verifyingContract). Signatures are 65 bytes (r, s, v)
     each, ordered by owner: v 27/28 signs the hash, v 31/32 signs it as a personal message,
     v 1 names an owner who approved it on chain or who sends the transaction.
"""

event ExecutionSuccess:
    txHash: indexed(bytes32)
    payment: uint256

event ExecutionFailure:
    txHash: indexed(bytes32)
    payment: uint256

event ApproveHash:
    approvedHash: indexed(bytes32)
    owner: indexed(address)

event SafeReceived:
    sender: indexed(address)
    value: uint256


DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(uint256 chainId,address verifyingContract)"
)
# keccak256 of "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,
# uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
SAFE_TX_TYPE: constant(bytes32) = (
    0xbb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8
)
MAX_OWNERS: constant(uint256) = 20
MAX_DATA: constant(uint256) = 16384
MAX_SIGNATURES: constant(uint256) = 65 * MAX_OWNERS

VERSION: public(constant(String[5])) = "1.4.1"

nonce: public(uint256)
isOwner: public(HashMap[address, bool])
approvedHashes: public(HashMap[address, HashMap[bytes32, uint256]])
_owners: DynArray[address, MAX_OWNERS]
_threshold: uint256


@deploy
@payable
def __init__(owners: DynArray[address, MAX_OWNERS], threshold: uint256):
    assert threshold != 0, "GS202"
    assert threshold <= len(owners), "GS201"
    for owner: address in owners:
        assert owner != empty(address) and owner != self, "GS203"
        assert not self.isOwner[owner], "GS204"
        self.isOwner[owner] = True
    self._owners = owners
    self._threshold = threshold


@external
@payable
def __default__():
    log SafeReceived(sender=msg.sender, value=msg.value)


@external
@view
def getOwners() -> DynArray[address, MAX_OWNERS]:
    return self._owners


@external
@view
def getThreshold() -> uint256:
    return self._threshold


@external
@view
def domainSeparator() -> bytes32:
    return self._domain()


@external
@view
def getTransactionHash(
    to: address,
    amount: uint256,
    data: Bytes[MAX_DATA],
    operation: uint8,
    safeTxGas: uint256,
    baseGas: uint256,
    gasPrice: uint256,
    gasToken: address,
    refundReceiver: address,
    _nonce: uint256,
) -> bytes32:
    return self._hash(
        to, amount, data, operation, safeTxGas, baseGas, gasPrice, gasToken, refundReceiver, _nonce
    )


@external
def approveHash(hashToApprove: bytes32):
    assert self.isOwner[msg.sender], "GS030"
    self.approvedHashes[msg.sender][hashToApprove] = 1
    log ApproveHash(approvedHash=hashToApprove, owner=msg.sender)


@external
@payable
def execTransaction(
    to: address,
    amount: uint256,
    data: Bytes[MAX_DATA],
    operation: uint8,
    safeTxGas: uint256,
    baseGas: uint256,
    gasPrice: uint256,
    gasToken: address,
    refundReceiver: address,
    signatures: Bytes[MAX_SIGNATURES],
) -> bool:
    tx_hash: bytes32 = self._hash(
        to,
        amount,
        data,
        operation,
        safeTxGas,
        baseGas,
        gasPrice,
        gasToken,
        refundReceiver,
        self.nonce,
    )
    self.nonce += 1
    self._check(tx_hash, signatures)
    assert operation == 0, "plain calls only"
    success: bool = raw_call(to, data, value=amount, revert_on_failure=False)
    assert success or safeTxGas != 0 or gasPrice != 0, "GS013"
    if success:
        log ExecutionSuccess(txHash=tx_hash, payment=0)
    else:
        log ExecutionFailure(txHash=tx_hash, payment=0)
    return success


@internal
@view
def _check(tx_hash: bytes32, signatures: Bytes[MAX_SIGNATURES]):
    threshold: uint256 = self._threshold
    assert len(signatures) >= threshold * 65, "GS020"
    last: address = empty(address)
    for i: uint256 in range(threshold, bound=MAX_OWNERS):
        r: bytes32 = convert(slice(signatures, i * 65, 32), bytes32)
        s: bytes32 = convert(slice(signatures, i * 65 + 32, 32), bytes32)
        v: uint256 = convert(slice(signatures, i * 65 + 64, 1), uint256)
        owner: address = self._signer(tx_hash, r, s, v)
        assert convert(owner, uint160) > convert(last, uint160) and self.isOwner[owner], "GS026"
        last = owner


@internal
@view
def _signer(tx_hash: bytes32, r: bytes32, s: bytes32, v: uint256) -> address:
    if v == 1:
        owner: address = convert(convert(convert(r, uint256), uint160), address)
        assert msg.sender == owner or self.approvedHashes[owner][tx_hash] != 0, "GS025"
        return owner
    if v > 30:
        signed: bytes32 = keccak256(concat(b"\x19Ethereum Signed Message:\n32", tx_hash))
        return ecrecover(signed, v - 4, convert(r, uint256), convert(s, uint256))
    return ecrecover(tx_hash, v, convert(r, uint256), convert(s, uint256))


@internal
@view
def _hash(
    to: address,
    amount: uint256,
    data: Bytes[MAX_DATA],
    operation: uint8,
    safe_tx_gas: uint256,
    base_gas: uint256,
    gas_price: uint256,
    gas_token: address,
    refund_receiver: address,
    nonce: uint256,
) -> bytes32:
    return keccak256(
        concat(
            b"\x19\x01",
            self._domain(),
            keccak256(
                abi_encode(
                    SAFE_TX_TYPE,
                    to,
                    amount,
                    keccak256(data),
                    convert(operation, uint256),
                    safe_tx_gas,
                    base_gas,
                    gas_price,
                    gas_token,
                    refund_receiver,
                    nonce,
                )
            ),
        )
    )


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, chain.id, self))

"""Signature hashes, signing and checking for the two scripts that a devchain spends.

Pay-to-public-key-hash with the legacy hash and pay-to-witness-public-key-hash
with that of BIP 143, both for SIGHASH_ALL. Outputs may carry any script; one
of another form cannot be spent here.
"""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey

from millpond.chains.bitcoin.hashes import hash160, sha256d
from millpond.chains.bitcoin.wire import Transaction, TxIn, compact, with_length

SIGHASH_ALL = 1


def p2wpkh_script(public_key_hash: bytes) -> bytes:
    """Output script of a witness key hash."""
    return b"\x00\x14" + public_key_hash


def p2pkh_script(public_key_hash: bytes) -> bytes:
    """Output script of a key hash."""
    return b"\x76\xa9\x14" + public_key_hash + b"\x88\xac"


def is_p2wpkh(script: bytes) -> bool:
    """True for a witness key hash."""
    return len(script) == 22 and script[:2] == b"\x00\x14"


def is_p2pkh(script: bytes) -> bool:
    """True for a legacy key hash."""
    return len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac"


class SighashCache:
    """The three hashes of BIP 143 that all inputs of a transaction share."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.prevouts = sha256d(b"".join(i.outpoint.serialise() for i in tx.inputs))
        self.sequences = sha256d(b"".join(i.sequence.to_bytes(4, "little") for i in tx.inputs))
        self.outputs = sha256d(b"".join(o.serialise() for o in tx.outputs))

    def witness_v0(self, index: int, script_code: bytes, value: int) -> bytes:
        """Digest of input `index` as BIP 143 has it."""
        tx, txin = self.tx, self.tx.inputs[index]
        return sha256d(
            tx.version.to_bytes(4, "little", signed=True)
            + self.prevouts
            + self.sequences
            + txin.outpoint.serialise()
            + with_length(script_code)
            + value.to_bytes(8, "little")
            + txin.sequence.to_bytes(4, "little")
            + self.outputs
            + tx.lock_time.to_bytes(4, "little")
            + SIGHASH_ALL.to_bytes(4, "little")
        )

    def legacy(self, index: int, script_code: bytes) -> bytes:
        """Digest of input `index` from before segwit."""
        tx = self.tx
        parts = [tx.version.to_bytes(4, "little", signed=True), compact(len(tx.inputs))]
        for i, txin in enumerate(tx.inputs):
            script = script_code if i == index else b""
            parts += [
                txin.outpoint.serialise(),
                with_length(script),
                txin.sequence.to_bytes(4, "little"),
            ]
        parts.append(compact(len(tx.outputs)))
        parts += [txout.serialise() for txout in tx.outputs]
        parts.append(tx.lock_time.to_bytes(4, "little"))
        return sha256d(b"".join(parts) + SIGHASH_ALL.to_bytes(4, "little"))


def sign_input(
    cache: SighashCache, index: int, key: PrivateKey, script: bytes, value: int
) -> TxIn | None:
    """Input `index` with its signature; None where the key does not open the script."""
    public = key.public_key.format()
    key_hash = hash160(public)
    txin = cache.tx.inputs[index]
    code = p2pkh_script(key_hash)
    if script == p2wpkh_script(key_hash):
        digest = cache.witness_v0(index, code, value)
        signature = key.sign(digest, hasher=None) + bytes((SIGHASH_ALL,))
        return TxIn(txin.outpoint, b"", txin.sequence, (signature, public))
    if script == code:
        signature = key.sign(cache.legacy(index, code), hasher=None) + bytes((SIGHASH_ALL,))
        return TxIn(txin.outpoint, with_length(signature) + with_length(public), txin.sequence)
    return None


def check_input(cache: SighashCache, index: int, script: bytes, value: int) -> str | None:  # noqa: PLR0911 - one return a verdict
    """Why input `index` may not spend an output of `script`; None if it may."""
    txin = cache.tx.inputs[index]
    if is_p2wpkh(script):
        if txin.script_sig:
            return "Witness requires empty scriptSig"
        if len(txin.witness) != 2:
            return "Witness program hash mismatch"
        signature, public = txin.witness
        code = p2pkh_script(script[2:])
        return _check(signature, public, script[2:], cache.witness_v0(index, code, value))
    if is_p2pkh(script):
        pushes = _pushes(txin.script_sig)
        if txin.witness:
            return "Witness provided for non-witness script"
        if pushes is None or len(pushes) != 2:
            return "Operation not valid with the current stack size"
        return _check(pushes[0], pushes[1], script[3:23], cache.legacy(index, script))
    return "this chain spends only P2PKH and P2WPKH outputs"


def _pushes(script: bytes) -> list[bytes] | None:
    found: list[bytes] = []
    position = 0
    while position < len(script):
        size = script[position]
        if not 1 <= size <= 75 or position + 1 + size > len(script):
            return None
        found.append(script[position + 1 : position + 1 + size])
        position += 1 + size
    return found


def _check(signature: bytes, public: bytes, key_hash: bytes, digest: bytes) -> str | None:
    if hash160(public) != key_hash:
        return "Script failed an OP_EQUALVERIFY operation"
    if not signature or signature[-1] != SIGHASH_ALL:
        return "Signature hash type missing or not understood"
    try:
        good = PublicKey(public).verify(signature[:-1], digest, hasher=None)
    except ValueError:
        return "Public key or signature is not well formed"
    return None if good else "Signature must be zero for failed CHECK(MULTI)SIG operation"

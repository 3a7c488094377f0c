"""A job: a template and the pool's outputs, made ready to be sent and checked.

The coinbase is cut in two round the extranonces, so that a miner can make a
new one for each extranonce2 (`coinbase1 + extranonce1 + extranonce2 +
coinbase2`). It is the serialisation without witness, whose double hash is the
txid; the witness is added when a block is assembled.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millpond.chains.bitcoin.wire import compact
from millpond.errors import InvalidInputError
from millpond.mining.difficulty import target_to_difficulty
from millpond.mining.work import pow as proofs
from millpond.mining.work.serialize import (
    script_number,
    script_push,
    stratum_prev_hash,
    transaction_output,
)
from millpond.mining.work.template import Template

MAX_SCRIPT_SIG = 100
"""Longest script of a coinbase input; a rule of the whole family."""
MAX_OUTPUTS = 2000
MAX_OUTPUT_SCRIPT = 10_000
MIN_EXTRANONCE = 4
MAX_EXTRANONCE = 32

_VERSION = (2).to_bytes(4, "little")
_COINBASE_OUTPOINT = bytes(32) + b"\xff\xff\xff\xff"
_SEQUENCE = b"\xff\xff\xff\xff"
_LOCK_TIME = bytes(4)


class InvalidJobError(InvalidInputError):
    """The pool asks for a coinbase that no block may have."""

    code = "invalid_job"


class CoinbaseOutput(msgspec.Struct, frozen=True):
    """What one output of the coinbase pays to whom.

    Attributes:
        script: Script of the payee, as `script_pubkey` of an address gives it.
        amount: Base units; None for whatever the other outputs leave, which
            may be said of one output at most.
    """

    script: bytes
    amount: int | None = None


class NotifyFields(msgspec.Struct, frozen=True):
    """The parameters of `mining.notify` between the job's name and `clean_jobs`."""

    prev_hash: str
    coinbase1: str
    coinbase2: str
    merkle_branch: list[str]
    version: str
    bits: str
    ntime: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work, immutable.

    Attributes:
        job_id: Name under which miners return shares of it.
        template: What it was made from.
        proof: Its proof of work.
        outputs: Payees with the amounts that they get; sums to the coinbase value.
        extranonce_size: Bytes of extranonce1 and extranonce2 together.
        coinbase1: Coinbase up to the extranonces.
        coinbase2: Coinbase behind them.
        merkle_branch: Siblings of the coinbase from bottom to top, wire order.
        prev_hash: Hash of the block before, wire order.
        version: Header version, unsigned.
        bits: Compact network target.
        network_target: The same as a number.
        network_difficulty: Difficulty of it, fixed point.
        curtime: Header time as sent, unix seconds.
        height: Height of the block.
        notify: The same, ready for the wire.
        work: Handle of the hashing kernel.
    """

    job_id: str
    template: Template
    proof: proofs.ProofOfWork
    outputs: tuple[tuple[bytes, int], ...]
    extranonce_size: int
    coinbase1: bytes
    coinbase2: bytes
    merkle_branch: tuple[bytes, ...]
    prev_hash: bytes
    version: int
    bits: int
    network_target: int
    network_difficulty: int
    curtime: int
    height: int
    notify: NotifyFields
    work: proofs.WorkHandle

    def coinbase(self, extranonce1: bytes, extranonce2: bytes) -> bytes:
        """Return the coinbase of one share, without witness."""
        assert len(extranonce1) + len(extranonce2) == self.extranonce_size, "exact lengths"
        return self.coinbase1 + extranonce1 + extranonce2 + self.coinbase2

    def coinbase_txid(self, extranonce1: bytes, extranonce2: bytes) -> str:
        """Return the coinbase's txid as daemons print it."""
        return proofs.sha256d(self.coinbase(extranonce1, extranonce2))[::-1].hex()


def build_job(
    template: Template,
    job_id: str,
    outputs: Sequence[CoinbaseOutput],
    *,
    tag: bytes = b"",
    extranonce_size: int = 12,
) -> Job:
    """Make a job.

    Args:
        template: What to work on.
        job_id: Its name on the wire.
        outputs: Payees; their amounts sum to the coinbase value exactly, or one
            of them takes what the others leave.
        tag: The pool's mark in the coinbase, shown by block explorers.
        extranonce_size: Bytes of extranonce1 and extranonce2 together.

    Raises:
        InvalidJobError: The amounts or the lengths do not fit.
    """
    amounts = _amounts(template.coinbase_value, outputs)
    coinbase1, coinbase2 = _coinbase_parts(template, amounts, tag, extranonce_size)
    branch = proofs.merkle_branch(b"".join([tx.txid_le for tx in template.transactions]))
    proof = proofs.proof_of_work(template.coin.proof_of_work)
    levels = tuple(branch[i : i + 32] for i in range(0, len(branch), 32))
    return Job(
        job_id=job_id,
        template=template,
        proof=proof,
        outputs=amounts,
        extranonce_size=extranonce_size,
        coinbase1=coinbase1,
        coinbase2=coinbase2,
        merkle_branch=levels,
        prev_hash=template.prev_hash,
        version=template.version,
        bits=template.bits,
        network_target=template.network_target,
        network_difficulty=target_to_difficulty(
            template.network_target, template.coin.difficulty_1_target
        ),
        curtime=template.curtime,
        height=template.height,
        notify=NotifyFields(
            prev_hash=stratum_prev_hash(template.prev_hash),
            coinbase1=coinbase1.hex(),
            coinbase2=coinbase2.hex(),
            merkle_branch=[level.hex() for level in levels],
            version=f"{template.version:08x}",
            bits=f"{template.bits:08x}",
            ntime=f"{template.curtime:08x}",
        ),
        work=proof.prepare(
            coinbase1,
            coinbase2,
            branch,
            template.prev_hash,
            template.bits,
            template.network_target.to_bytes(32, "little"),
        ),
    )


def _amounts(value: int, outputs: Sequence[CoinbaseOutput]) -> tuple[tuple[bytes, int], ...]:
    """Resolve the one output that takes the rest, and hold the sum to the value."""
    if not 1 <= len(outputs) <= MAX_OUTPUTS:
        raise InvalidJobError(f"a coinbase has 1 to {MAX_OUTPUTS} payees")
    for output in outputs:
        if not 1 <= len(output.script) <= MAX_OUTPUT_SCRIPT:
            raise InvalidJobError("a payee's script is empty or too long")
        if output.amount is not None and output.amount < 0:
            raise InvalidJobError("a payee's amount is negative")
    fixed = sum(output.amount for output in outputs if output.amount is not None)
    open_ended = sum(output.amount is None for output in outputs)
    if open_ended > 1:
        raise InvalidJobError("only one payee may take what the others leave")
    rest = value - fixed
    if rest < 0 or (rest > 0 and not open_ended):
        raise InvalidJobError(
            f"the payees get {fixed}, the block pays {value}", paid=fixed, value=value
        )
    return tuple((o.script, rest if o.amount is None else o.amount) for o in outputs)


def _coinbase_parts(
    template: Template,
    amounts: tuple[tuple[bytes, int], ...],
    tag: bytes,
    extranonce_size: int,
) -> tuple[bytes, bytes]:
    """Coinbase up to the extranonces, and behind them."""
    if not MIN_EXTRANONCE <= extranonce_size <= MAX_EXTRANONCE:
        raise InvalidJobError(
            f"extranonce1 and extranonce2 are {MIN_EXTRANONCE} to {MAX_EXTRANONCE} bytes together"
        )
    before = script_number(template.height) + template.coinbase_flags + bytes((extranonce_size,))
    if len(tag) > 75:
        raise InvalidJobError("the pool's tag is longer than 75 bytes")
    after = script_push(tag) if tag else b""
    script_length = len(before) + extranonce_size + len(after)
    if script_length > MAX_SCRIPT_SIG:
        raise InvalidJobError(
            f"the coinbase's script would be {script_length} bytes long, {MAX_SCRIPT_SIG} are "
            "allowed: shorten the tag"
        )
    outputs = [transaction_output(amount, script) for script, amount in amounts]
    if template.witness_commitment is not None:
        outputs.append(transaction_output(0, template.witness_commitment))
    coinbase1 = _VERSION + b"\x01" + _COINBASE_OUTPOINT + compact(script_length) + before
    coinbase2 = after + _SEQUENCE + compact(len(outputs)) + b"".join(outputs) + _LOCK_TIME
    return coinbase1, coinbase2

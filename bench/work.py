"""The work room: shares validated, notify built, blocks assembled.

`python -m bench work`. Native is the C extension,
reference its definition in Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from millpond.chains.coins import Coin, coin_named
from millpond.mining.work import (
    CoinbaseOutput,
    Job,
    Submission,
    Template,
    assemble_block,
    build_job,
    check,
    native,
)
from millpond.mining.work import pow as proofs
from millpond.mining.work.reference import Work, sha256d
from millpond.mining.work.reference import scrypt as reference_scrypt

NOW = 1_700_000_600
COMMITMENT = "6a24aa21a9ed" + "e2" * 32


def _document(transactions: int, size: int = 250) -> dict[str, Any]:
    entries = []
    for number in range(transactions):
        data = number.to_bytes(4, "big") + bytes(size - 4)
        entries.append({"data": data.hex(), "txid": sha256d(data).hex(), "fee": 1000})
    return {
        "version": 0x20000000,
        "rules": ["csv", "!segwit"],
        "previousblockhash": "00" * 8 + "ab" * 24,
        "transactions": entries,
        "coinbaseaux": {},
        "coinbasevalue": 312_500_000,
        "mintime": NOW - 600,
        "curtime": NOW,
        "bits": "1b00ffff",
        "height": 800_000,
        "default_witness_commitment": COMMITMENT,
    }


def _job(document: dict[str, Any], coin: Coin) -> Job:
    template = Template.from_gbt(document, coin)
    return build_job(template, "1", [CoinbaseOutput(b"\x00\x14" + bytes(20))], tag=b"/Millpond/")


def _reference(job: Job) -> Job:
    """The same job, hashed by the Python reference."""
    hash_header = sha256d if job.proof.name == "sha256d" else reference_scrypt
    handle = Work(
        hash_header,
        job.coinbase1,
        job.coinbase2,
        b"".join(job.merkle_branch),
        job.prev_hash,
        job.bits,
        job.network_target.to_bytes(32, "little"),
    )
    return msgspec.structs.replace(job, work=handle)


def _per_second(job: Job, seconds: float) -> float:
    """Shares a second through the whole of `check`, all of them accepted."""
    seen: set[bytes] = set()
    first, second = b"\x01\x02\x03\x04", bytes(8)
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for nonce in range(done, done + 200):
            check(
                job,
                first,
                Submission(second, NOW, nonce),
                difficulty=1,
                version_mask=0,
                now_s=NOW,
                seen=seen,
            )
        done += 200
    return done / spent


def _milliseconds(action: Callable[[], object], times: int) -> float:
    """Median of several runs."""
    figures = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        figures.append((time.perf_counter() - start) * 1000)
    return sorted(figures)[times // 2]


def _figure(name: str, value: float, unit: str, **facts: object) -> dict[str, Any]:
    return {"figure": name, "value": round(value, 3), "unit": unit, **facts}


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the call of every benchmark
    """Yield every figure."""
    seconds = 0.2 if quick else 2.0
    yield from _shares(seconds)
    yield from _blocks(5 if quick else 25)
    if native():
        yield from _scans()


def _shares(seconds: float) -> Iterator[dict[str, Any]]:
    bitcoin, litecoin = coin_named("bitcoin"), coin_named("litecoin")
    for coin, branches in ((bitcoin, 12), (bitcoin, 0), (litecoin, 12)):
        job = _job(_document((1 << branches) - 1), coin)
        assert len(job.merkle_branch) == branches
        kernels = [("reference", _reference(job))]
        if native():
            kernels.append(("native", job))
        for kernel, handled in kernels:
            yield _figure(
                "shares_validated",
                _per_second(handled, seconds),
                "1/s",
                kernel=kernel,
                algorithm=job.proof.name,
                merkle_branches=branches,
            )


def _blocks(times: int) -> Iterator[dict[str, Any]]:
    bitcoin = coin_named("bitcoin")
    document = _document(4000)
    template = Template.from_gbt(document, bitcoin)
    payee = [CoinbaseOutput(b"\x00\x14" + bytes(20))]
    job = build_job(template, "1", payee)
    coinbase, header = job.coinbase(bytes(4), bytes(8)), bytes(80)
    actions: dict[str, Callable[[], object]] = {
        "template_read": partial(Template.from_gbt, document, bitcoin),
        "job_built": partial(build_job, template, "1", payee),
        "block_assembled": partial(assemble_block, job, coinbase, header),
    }
    for name, action in actions.items():
        spent = _milliseconds(action, times)
        yield _figure(name, spent, "ms", transactions=4000, native=native())


def _scans() -> Iterator[dict[str, Any]]:
    for name, algorithm, count in (("sha256d", 0, 2_000_000), ("scrypt", 1, 2000)):
        spent = _milliseconds(partial(proofs.scan, algorithm, bytes(80), 0, count, bytes(32)), 3)
        yield _figure("scan", count / spent * 1000, "H/s", algorithm=name)

"""The work room: shares validated, notify built, blocks assembled.

One JSON line a figure; `python -m bench.work`. Native is the C extension,
reference its definition in Python.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
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
SECONDS = 1.0


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


def _per_second(job: Job) -> float:
    """Shares a second through the whole of `check`, all of them accepted."""
    seen: set[bytes] = set()
    first, second = b"\x01\x02\x03\x04", bytes(8)
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < SECONDS:
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


def _milliseconds(action: Callable[[], object], times: int = 20) -> float:
    """Median of several runs."""
    figures = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        figures.append((time.perf_counter() - start) * 1000)
    return sorted(figures)[times // 2]


def _say(name: str, value: float, unit: str, **facts: object) -> None:
    print(json.dumps({"bench": name, "value": round(value, 3), "unit": unit, **facts}), flush=True)


def main() -> None:
    """Print every figure."""
    bitcoin, litecoin = coin_named("bitcoin"), coin_named("litecoin")
    for coin, branches in ((bitcoin, 12), (bitcoin, 0), (litecoin, 12)):
        job = _job(_document((1 << branches) - 1), coin)
        assert len(job.merkle_branch) == branches
        facts = {"algorithm": job.proof.name, "merkle_branches": branches}
        if native():
            _say("shares_validated", _per_second(job), "1/s", kernel="native", **facts)
        _say("shares_validated", _per_second(_reference(job)), "1/s", kernel="reference", **facts)
    document = _document(4000)
    template = Template.from_gbt(document, bitcoin)
    payee = [CoinbaseOutput(b"\x00\x14" + bytes(20))]
    job = build_job(template, "1", payee)
    coinbase, header = job.coinbase(bytes(4), bytes(8)), bytes(80)
    facts = {"transactions": 4000, "native": native()}
    _say(
        "template_read", _milliseconds(lambda: Template.from_gbt(document, bitcoin)), "ms", **facts
    )
    _say("job_built", _milliseconds(lambda: build_job(template, "1", payee)), "ms", **facts)
    _say(
        "block_assembled",
        _milliseconds(lambda: assemble_block(job, coinbase, header)),
        "ms",
        **facts,
    )
    full, no_target = bytes(80), bytes(32)
    if native():
        for name, algorithm, count in (("sha256d", 0, 2_000_000), ("scrypt", 1, 2000)):
            scan = partial(proofs.scan, algorithm, full, 0, count, no_target)
            spent = _milliseconds(scan, 3)
            _say("scan", count / spent * 1000, "H/s", algorithm=name)


if __name__ == "__main__":
    main()

"""PPLNS on a window of a million shares; run as `python -m bench.rewards`.

The shares are there already, newest first, as the share log hands them out;
what is measured is taking the window and splitting the reward. The second
figure reads them from groups of the log's own format.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from millpond.mining.rewards import FeeRules, Pplns, WindowTaker
from millpond.mining.sharelog.builder import GroupBuilder
from millpond.mining.sharelog.codec import GENESIS_HASH, decode
from millpond.mining.sharelog.records import Group, Job

SHARES = 1_000_000
WORKERS = 10_000
ROUNDS = 5
REWARD = 312_500_000
ONE = 1 << 32


def figure(name: str, seconds: list[float], **more: Any) -> dict[str, Any]:
    best, worst = round(min(seconds), 3), round(max(seconds), 3)
    return {"figure": name, "value": best, "worst": worst, "unit": "s", **more}


def shares(count: int) -> list[tuple[str, int]]:
    rng = random.Random(1)
    workers = [f"wallet{number // 3}.rig{number % 3}" for number in range(WORKERS)]
    return [(rng.choice(workers), rng.choice((1, 2, 4, 8)) * ONE) for _ in range(count)]


def pay(scheme: Pplns, taker: WindowTaker) -> int:
    allocation = scheme.allocate(taker.window(), REWARD, FeeRules(fee_bp=100))
    assert sum(line.amount for line in allocation.lines) == REWARD
    return len(allocation.lines)


def groups_of(listed: list[tuple[str, int]]) -> list[Group]:
    found: list[Group] = []
    for first in range(0, len(listed), 500):
        builder = GroupBuilder()
        for worker, difficulty in listed[first : first + 500]:
            builder.add(0, worker, Job(1, ONE), difficulty, 0)
        found.append(builder.finish("bench", "edge", len(found) + 1, GENESIS_HASH))
    return found


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the call of every benchmark
    """Figures in seconds; `quick` takes a tenth of the shares."""
    listed = shares(SHARES // 10 if quick else SHARES)
    scheme = Pplns(Fraction(2))
    # The window ends in the middle of the oldest share: it is full, and nothing is left out.
    reach = scheme.reach((sum(difficulty for _, difficulty in listed) - 1) // 2)
    about = {"shares": len(listed), "workers": WORKERS}
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        taker = WindowTaker(reach)
        assert taker.take(listed)
        pay(scheme, taker)
        seconds.append(time.perf_counter() - started)
    yield figure("pplns_window", seconds, **about)
    stored = groups_of(list(reversed(listed)))
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        taker = WindowTaker(reach)
        for position in range(len(stored), 0, -1):
            if taker.take(decode(position, stored[position - 1]).newest_first()):
                break
        pay(scheme, taker)
        seconds.append(time.perf_counter() - started)
    yield figure("pplns_window_from_log", seconds, groups=len(stored), **about)


if __name__ == "__main__":
    for line in run(quick=False):
        print(json.dumps(line), flush=True)

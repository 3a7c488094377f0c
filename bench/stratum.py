"""Stratum on one core: durable shares a second, round trips, notify, memory.

The server is a process of its own on one core, the client on another; the
share log is an SQLite file with `synchronous = FULL` in a temporary directory
(`MILLPOND_BENCH_DIR` names another place). Run as `python -m bench stratum`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from typing import Any

from bench.stratum_client import Fleet
from bench.stratum_server import ADDRESS


class Server:
    """The server's process."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(dir=os.environ.get("MILLPOND_BENCH_DIR"))
        command = [sys.executable, "-m", "bench.stratum_server", self._directory.name, "0"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def say(self, word: str) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def stats(self) -> dict[str, Any]:
        """Figures of the server's process."""
        self.say("stats")
        found: dict[str, Any] = json.loads(self._line())
        return found

    def close(self) -> None:
        """End it and wait for that."""
        self._process.communicate(timeout=60)
        self._directory.cleanup()


def figure(name: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, **more}


def percentile(values: array[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def shares(connections: int, size: int, name: str, seconds_long: float) -> Iterator[dict[str, Any]]:
    server = Server()
    fleet = Fleet(server.port, connections, ADDRESS)
    fleet.load(1.0, size)
    before = server.stats()
    accepted, refused, seconds, trips = fleet.load(seconds_long, size)
    after = server.stats()
    more = {
        "connections": connections,
        "shares_a_group": round(accepted / max(after["groups"] - before["groups"], 1), 1),
        "server_cpu": round((after["cpu_s"] - before["cpu_s"]) / seconds, 2),
        "refused": refused,
    }
    yield figure(f"stratum_shares_{name}", accepted / seconds, "shares/s", **more)
    for part, label in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
        yield figure(f"stratum_submit_{name}_{label}", percentile(trips, part), "ms")
    fleet.close()
    server.close()


def notify(connections: int) -> Iterator[dict[str, Any]]:
    server = Server()
    idle = server.stats()["rss"]
    fleet = Fleet(server.port, connections, ADDRESS)
    yield figure(
        "stratum_idle_connection",
        (server.stats()["rss"] - idle) / connections,
        "bytes",
        connections=connections,
    )
    last: array[float] = array("d")
    for _ in range(5):
        started = time.perf_counter()
        server.say("job")
        times = fleet.notified()
        last.append((max(times) - started) * 1e3)
    after = server.stats()
    yield figure(
        "stratum_new_block_last_notified",
        percentile(last, 0.5),
        "ms",
        connections=connections,
        worst=round(max(last), 1),
        sending_ms=round(after["notify_ms"], 1),
        template_to_job_ms=round(after["job_ms"], 1),
    )
    fleet.close()
    server.close()


def run(quick: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001 - the runner's signature
    """Every figure; `quick` for short runs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    try:
        seconds = 2.0 if quick else 10.0
        yield from shares(1_000, 1, "one_at_a_time", seconds)
        yield from shares(1_000, 50, "pipelined", seconds)
        yield from notify(1_000)
        yield from notify(10_000)
    finally:
        os.sched_setaffinity(0, before)

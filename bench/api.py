"""Requests a second that one API process answers, over real sockets, one JSON line a figure.

Run with `python -m bench api`. Twenty kept-alive connections ask as fast as
they are answered, for a few seconds, from the same machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from tests.api.real_pool import ANN, RealPool
from tests.web.serving import serving

from millpond.api.settings import ApiSettings
from millpond.store import Store
from millpond.store.migrate import migrate

CONNECTIONS = 20
UNLIMITED = 1_000_000_000


async def _ask(host: str, port: int, path: str, until: float, laps: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    while time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        laps.append(time.perf_counter() - begun)
    writer.close()


async def _measure(url: str, name: str, path: str, seconds: float) -> dict[str, Any]:
    host, port = url.removeprefix("http://").split(":")
    laps: list[float] = []
    begun = time.perf_counter()
    until = begun + seconds
    await asyncio.gather(*(_ask(host, int(port), path, until, laps) for _ in range(CONNECTIONS)))
    took = time.perf_counter() - begun
    laps.sort()
    return {
        "bench": f"api.{name}",
        "requests_per_second": round(len(laps) / took),
        "p50_ms": round(laps[len(laps) // 2] * 1000, 2),
        "p99_ms": round(laps[len(laps) * 99 // 100] * 1000, 2),
        "connections": CONNECTIONS,
        "note": "client and server share one process and core",
    }


async def _measure_all(seconds: float) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        await migrate(url)
        store = await Store.open(url)
        limits = ApiSettings(port=0, requests_per_minute=UNLIMITED, pages_per_minute=UNLIMITED)
        pool = await (await RealPool.make(store, limits)).with_history()
        paths = {
            "stats": "/api/v1/stats",
            "miner": f"/api/v1/miners/{ANN.address}",
            "home_page": "/",
        }
        async with serving(pool.deps) as site:
            found = [await _measure(site, name, path, seconds) for name, path in paths.items()]
        await store.close()
        return found


def run(quick: bool) -> Iterable[dict[str, Any]]:  # noqa: FBT001 - every benchmark has this form
    """Statistics (from memory), a miner (from the database), the first page (rendered)."""
    return asyncio.run(_measure_all(1.0 if quick else 4.0))

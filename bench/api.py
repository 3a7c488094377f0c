"""Requests a second that one API process answers, over real sockets, one JSON line a figure.

Run with `python -m bench.api`. Twenty kept-alive connections ask as fast as
they are answered, for a few seconds, from the same machine.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from tests.api.real_pool import ANN, RealPool
from tests.web.serving import serving

from millpond.api.settings import ApiSettings
from millpond.store import Store
from millpond.store.migrate import migrate

CONNECTIONS = 20
SECONDS = 4.0
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


async def measure(url: str, name: str, path: str) -> dict[str, object]:
    host, port = url.removeprefix("http://").split(":")
    laps: list[float] = []
    begun = time.perf_counter()
    until = begun + SECONDS
    await asyncio.gather(*(_ask(host, int(port), path, until, laps) for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - begun
    laps.sort()
    return {
        "bench": f"api.{name}",
        "requests_per_second": round(len(laps) / seconds),
        "p50_ms": round(laps[len(laps) // 2] * 1000, 2),
        "p99_ms": round(laps[len(laps) * 99 // 100] * 1000, 2),
        "connections": CONNECTIONS,
        "note": "client and server share one process and core",
    }


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/bench.db"
        await migrate(url)
        store = await Store.open(url)
        limits = ApiSettings(port=0, requests_per_minute=UNLIMITED, pages_per_minute=UNLIMITED)
        pool = await (await RealPool.make(store, limits)).with_history()
        async with serving(pool.deps) as site:
            for name, path in (
                ("stats", "/api/v1/stats"),
                ("miner", f"/api/v1/miners/{ANN.address}"),
                ("home_page", "/"),
            ):
                print(json.dumps(await measure(site, name, path)), flush=True)
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())

"""A real edge over a template that never changes, for a load client to talk to.

Run as `python -m bench.stratum_server DIRECTORY CORE`; prints its port, then
obeys lines on standard input: `job` broadcasts a new block's job and prints
how long the sending took, `stats` prints figures, end of input stops it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

import structlog
import uvloop

from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.coins import coin_named
from millpond.mining.edge import Edge, EdgeSettings
from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.stratum import ListenerSettings, StratumLimits
from millpond.ops.system import SystemClock, SystemEntropy

COIN = coin_named("devcoin")
BRANCHES = 12
ADDRESS = encode_segwit(0, bytes(20), COIN)


class FixedTemplates:
    """Templates of 2,100 small transactions: twelve merkle branches, as in a full block."""

    def __init__(self) -> None:
        self.height = 1000

    async def get_block_template(self) -> dict[str, object]:
        """The template with the time of now."""
        transaction = {"data": "00" * 60, "txid": "ab" * 32}
        return {
            "height": self.height,
            "version": 0x20000000,
            "previousblockhash": f"{self.height:064x}",
            "bits": "1b00ffff",
            "curtime": SystemClock().now_ms() // 1000,
            "mintime": 1,
            "coinbasevalue": 5_000_000_000,
            "transactions": [transaction] * ((1 << BRANCHES) // 2 + 52),
            "rules": [],
        }

    async def submit_block(self, _block_hex: str) -> list[object]:
        """Nothing here finds blocks."""
        return []


def rss_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


async def main(directory: str) -> None:
    templates = FixedTemplates()
    settings = EdgeSettings(
        pool_id="bench",
        refresh_s=3600.0,
        listeners=(ListenerSettings(port=0, fixed_difficulty=2.0**-32),),
        limits=StratumLimits(max_per_address=20_000, login_s=600.0, max_shares_per_s=0.0),
        sharelog=ShareLogSettings(url=f"sqlite:///{directory}/shares.db"),
    )
    edge = Edge(
        settings,
        coin=COIN,
        daemons=templates,
        payout_address=ADDRESS,
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    await edge.start()
    print(edge.ports[0], flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"job":
            templates.height += 1
            edge.poke()
        else:
            print(json.dumps(stats(edge)), flush=True)
    await edge.stop()


def stats(edge: Edge) -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rss": rss_bytes(),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "connections": edge.server.connections,
        "accepted": edge.server.stats.accepted,
        "groups": edge.writer.commits,
        "notify_ms": edge.server.stats.last_notify_ns / 1e6,
        "job_ms": edge.feed.template_ns / 1e6,
    }


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main(sys.argv[1]))

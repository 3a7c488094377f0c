"""`python -m millpond.chains.devevm`: a devevm as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.server import DevevmServer
from millpond.errors import MillpondError
from millpond.ops.system import SystemClock, SystemEntropy


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m millpond.chains.devevm")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8545, help="0 takes a free one")
    parser.add_argument("--datadir", type=Path, help="without it the chain lives in memory")
    parser.add_argument("--chain-id", type=int, default=DevevmParams().chain_id)
    parser.add_argument(
        "--block-time", type=float, help="seconds between blocks; without: one a transaction"
    )
    parser.add_argument("--manual", action="store_true", help="blocks only when told to")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    server = DevevmServer(
        DevevmParams(chain_id=arguments.chain_id, block_time_s=arguments.block_time),
        SystemClock(),
        SystemEntropy(),
        datadir=arguments.datadir,
        host=arguments.host,
        port=arguments.port,
    )
    if arguments.manual:
        server.chain.automine = False
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with server:
        sys.stdout.write(f"devevm {server.url} block {server.chain.height}\n")
        sys.stdout.flush()
        await server.serve_until(stop)


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        asyncio.run(_serve(_arguments()))
    except (MillpondError, OSError) as error:
        sys.stderr.write(f"devevm: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

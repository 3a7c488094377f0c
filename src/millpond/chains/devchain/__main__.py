"""`python -m millpond.chains.devchain`: a devchain as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from millpond.chains.coins import coin_named
from millpond.chains.devchain.params import DevParams, demo_params, test_params
from millpond.chains.devchain.server import DevchainServer
from millpond.errors import MillpondError
from millpond.ops.system import SystemClock, SystemEntropy


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m millpond.chains.devchain")
    parser.add_argument("--coin", default="devcoin", help="devcoin or devcoin-scrypt")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=19332, help="0 takes a free one")
    parser.add_argument("--datadir", type=Path, help="without it the chain lives in memory")
    parser.add_argument("--user", default="devchain")
    parser.add_argument("--password", default="devchain")
    parser.add_argument("--block-time", type=int, help="intended seconds between blocks")
    parser.add_argument("--zmq", help="publish hashblock here, like tcp://127.0.0.1:28332")
    parser.add_argument(
        "--instant", action="store_true", help="regtest difficulty: every second hash is a block"
    )
    return parser.parse_args()


def _params(arguments: argparse.Namespace) -> DevParams:
    coin = coin_named(arguments.coin)
    if arguments.instant:
        return test_params(coin)
    return demo_params(coin, block_time_s=arguments.block_time)


async def _serve(arguments: argparse.Namespace) -> None:
    server = DevchainServer(
        _params(arguments),
        SystemClock(),
        SystemEntropy(),
        datadir=arguments.datadir,
        host=arguments.host,
        port=arguments.port,
        user=arguments.user,
        password=arguments.password,
        zmq_address=arguments.zmq,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with server:
        sys.stdout.write(f"devchain {server.url} height {server.chain.tip.height}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        asyncio.run(_serve(_arguments()))
    except (MillpondError, OSError) as error:
        sys.stderr.write(f"devchain: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

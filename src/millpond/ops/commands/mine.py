"""`millpond mine`: the built-in CPU miner, against any pool."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mine")(mine)


def mine(
    user: Annotated[str, typer.Argument(help="Your address and a name, as in ADDRESS.rig1.")],
    url: Annotated[
        str, typer.Option(help="The pool, as in stratum+tcp://127.0.0.1:3333.")
    ] = "stratum+tcp://127.0.0.1:3333",
    password: Annotated[str, typer.Option(help="Options for the pool, as in d=1024.")] = "x",  # noqa: S107 - no secret
    algorithm: Annotated[str, typer.Option(help="sha256d or scrypt.")] = "sha256d",
    threads: Annotated[int, typer.Option(help="How many work at a time.")] = 1,
    load: Annotated[float, typer.Option(help="Share of the time that each works.")] = 1.0,
    shares: Annotated[int | None, typer.Option(help="End after so many accepted shares.")] = None,
) -> None:
    """Mine with this machine's processor."""
    import asyncio
    import signal
    import sys

    from millpond.mining.miner import MinerRun, run_miner, terminal_reporter
    from millpond.ops.system import SystemClock, SystemEntropy

    settings = MinerRun(
        url=url,
        user=user,
        password=password,
        algorithm=algorithm,
        threads=threads,
        load=load,
        max_shares=shares,
    )

    async def work() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        reporter = terminal_reporter(sys.stdout)
        return await run_miner(
            settings, SystemClock(), SystemEntropy(), stop=stop, reporter=reporter
        )

    raise typer.Exit(asyncio.run(work()))

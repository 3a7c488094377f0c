"""`millpond init`: make ready for the first start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from millpond.ops.commands.common import CONFIG_ENV, read_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            envvar=CONFIG_ENV,
            help="The configuration; written with comments if it does not exist.",
        ),
    ] = Path("millpond.toml"),
) -> None:
    """Write a configuration, make the databases, the wallet and the pool's address."""
    import asyncio

    from millpond.ops.setup import prepare, write_config

    if not config.exists():
        write_config(config, typer.echo)
    settings = read_config(config)
    asyncio.run(prepare(settings, typer.echo))
    typer.echo(f"next      millpond doctor --config {config}; millpond up --config {config}")

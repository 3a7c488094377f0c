"""`millpond notify-block`: for a daemon's `-blocknotify`."""

from __future__ import annotations

from typing import Annotated

import typer

from millpond.ops.commands.common import ConfigOption, read_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("notify-block")(notify_block)


def notify_block(
    block_hash: Annotated[str, typer.Argument(help="What the daemon puts for %s.")] = "",
    config: ConfigOption = None,
) -> None:
    """Tell the running edges of a new block. Exit code 1 if nobody listened."""
    from millpond.chains.bitcoin.poke import poke
    from millpond.ops.process import poke_address

    settings = read_config(config)
    heard = 0
    for pool in settings.the_pools:
        address = poke_address(settings.run_path, pool.id)
        try:
            poke(address, block_hash)
            heard += 1
        except (OSError, ValueError) as error:
            typer.echo(f"millpond: {pool.id}: nobody was told: {error}", err=True)
    raise typer.Exit(0 if heard else 1)

"""`millpond up`: the whole pool in one process tree."""

from __future__ import annotations

import typer

from millpond.ops.commands.common import ConfigOption, read_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(config: ConfigOption = None) -> None:
    """Start everything that the configuration names; Ctrl-C stops it."""
    from millpond.ops.bringup import bring_up

    bring_up(read_config(config), config_path=config, say=_say)


def _say(line: str) -> None:
    typer.echo(line)

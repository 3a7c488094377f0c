"""`millpond config show`: what is set, and what each setting means."""

from __future__ import annotations

from typing import Annotated

import typer

from millpond.ops.commands.common import ConfigOption, read_config


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
    group.command("show")(show)
    app.add_typer(group, name="config")


def show(
    config: ConfigOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="With type, default, unit and meaning.")
    ] = False,
) -> None:
    """Print the settings in force, without secrets."""
    from millpond.ops.config.explain import explained, in_force

    settings = read_config(config)
    typer.echo(explained(settings) if explain else in_force(settings))

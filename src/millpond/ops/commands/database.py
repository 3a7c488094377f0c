"""`millpond migrate`: bring the database up to this version."""

from __future__ import annotations

import typer

from millpond.ops.commands.common import ConfigOption, read_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(config: ConfigOption = None) -> None:
    """Bring the database's tables up to this version, keeping the data."""
    import asyncio

    from millpond.store.migrate import migrate as run

    applied = asyncio.run(run(read_config(config).database_url))
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")

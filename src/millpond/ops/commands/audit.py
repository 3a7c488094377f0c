"""`millpond audit`: books = share log = chain, to the unit."""

from __future__ import annotations

import typer

from millpond.ops.commands.common import ConfigOption, JsonOption, read_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compare the books with share log and chain. Exit code 1 unless all agree."""
    import asyncio

    from millpond.ops.auditing import run_audit

    report = asyncio.run(run_audit(read_config(config)))
    typer.echo(report.json() if as_json else report.table())
    raise typer.Exit(0 if report.clean else 1)

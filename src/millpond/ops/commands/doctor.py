"""`millpond doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from millpond.ops.commands.common import ConfigOption, JsonOption, read_config

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.ops.config import Config
    from millpond.ops.doctor import Finding

_MARKS = {"ok": "ok     ", "warning": "WARNING", "fault": "FAULT  "}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Examine the installation. Exit code 1 if a fault was found."""
    import asyncio

    settings = read_config(config)
    findings = asyncio.run(_all(settings, config))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            _print(finding)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(1)


async def _all(config: Config, path: Path | None) -> list[Finding]:
    from millpond.ops.doctor import examine
    from millpond.ops.system import SystemClock

    return [finding async for finding in examine(config, path, SystemClock())]


def _print(finding: Finding) -> None:
    typer.echo(f"{_MARKS[finding.level]}  {finding.subject}: {finding.message}")
    if finding.mend:
        typer.echo(f"         mend: {finding.mend}")

"""What the commands share: the option `--config` and reading it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from millpond.ops.config import Config

CONFIG_ENV = "MILLPOND_CONFIG"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar=CONFIG_ENV,
        help="The configuration; without one, the demo on the embedded devchain.",
    ),
]
ChainOption = Annotated[
    str | None, typer.Option("--chain", help="Name of the EVM chain; needed if there are several.")
]
ActorOption = Annotated[str, typer.Option(envvar="USER", help="Who; it is written down.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_config(path: Path | None) -> Config:
    """The configuration from the file and the environment, and of a pool that runs, its ports.

    Raises:
        ConfigError: It has faults.
    """
    from millpond.ops.config import load
    from millpond.ops.running import as_running

    return as_running(load(path, os.environ))


def shown_time(at_ms: int | None) -> str:
    """A time for people: UTC, to the second; `-` for none."""
    if at_ms is None:
        return "-"
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

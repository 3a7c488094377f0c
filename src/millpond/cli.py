"""The `millpond` command."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run a pool.")


@app.callback()
def _root() -> None:
    """Run a pool."""


def main() -> None:
    """Entry point of the `millpond` command."""
    app()

"""The `millpond` command: names the commands and turns errors into one line.

Nothing heavy is imported here or in the command modules' heads, so that
`millpond --help` answers at once; a command imports what it needs when it
runs.
"""

from __future__ import annotations

import sys

import typer

from millpond.errors import InvalidInputError, MillpondError
from millpond.ops.commands import REGISTER

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Run a pool.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415

        typer.echo(installed("millpond"))
        raise typer.Exit


for _register in REGISTER:
    _register(app)


def main() -> None:
    """Entry point of the `millpond` command.

    An error that Millpond raises on purpose ends in one line (a faulty
    configuration in one line a fault); exit code 2 if what was given is
    wrong, 1 if it is right but could not be done.
    """
    try:
        app()
    except MillpondError as error:
        typer.echo(f"millpond: {error.message}", err=True)
        sys.exit(2 if isinstance(error, InvalidInputError) else 1)

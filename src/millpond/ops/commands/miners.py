"""`millpond miners`: a word from the operator to those who mine now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands.common import ConfigOption, read_config

if TYPE_CHECKING:
    from millpond.ops.miners import Answer, Word

ActorOption = Annotated[str, typer.Option(envvar="USER", help="Who; it is written down.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Speak to the connected miners.")
    group.command("message")(message)
    group.command("reconnect")(reconnect)
    group.command("renumber")(renumber)
    app.add_typer(group, name="miners")


def message(
    text: Annotated[str, typer.Argument(help="One line, 300 characters at most.")],
    worker: Annotated[str, typer.Option(help="Only to this worker (wallet.name) or wallet.")] = "",
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Show a line of text on the miners' screens."""
    from millpond.ops.miners import Message

    answer = _tell(config, Message(actor=actor, text=text, worker=worker))
    typer.echo(f"shown to {answer.reached} connections")


def reconnect(
    host: Annotated[str, typer.Option(help="Where to; the same host if left out.")] = "",
    port: Annotated[int, typer.Option(help="Which port; the same if left out.")] = 0,
    wait: Annotated[int, typer.Option(help="Seconds that they should wait first.")] = 0,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Ask the miners to connect anew. Many follow only to the host that they know."""
    from millpond.ops.miners import Reconnect

    answer = _tell(config, Reconnect(actor=actor, host=host, port=port, wait_s=wait))
    typer.echo(f"asked {answer.reached} connections to reconnect")


def renumber(
    prefix: Annotated[
        int | None,
        typer.Option(help="First byte of the new extranonces; as configured if left out."),
    ] = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Give new extranonces, after two edges were given the same prefix.

    Miners that cannot take one are asked to reconnect. The prefix is kept
    until the edge ends: set `stratum.extranonce_prefix` too.
    """
    from millpond.ops.miners import Renumber

    if prefix is None:
        prefix = read_config(config).stratum.extranonce_prefix
    answer = _tell(config, Renumber(actor=actor, prefix=prefix))
    typer.echo(
        f"gave {answer.reached} connections a new extranonce, "
        f"asked {answer.reconnecting} to reconnect"
    )


def _tell(config: Path | None, word: Word) -> Answer:
    from millpond.ops.miners import tell

    return tell(read_config(config).run_path, word)

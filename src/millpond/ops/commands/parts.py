"""The commands that run one part alone, as `millpond up` runs them all."""

from __future__ import annotations

from collections.abc import Callable

import typer

from millpond.ops.commands.common import ConfigOption, read_config

HELP = {
    "devchain": "Run the embedded chain and its wallet.",
    "devevm": "Run the embedded EVM chain.",
    "edge": "Serve miners: Stratum, shares, blocks.",
    "worker": "Fold shares, follow blocks, credit rewards, make payouts.",
    "chains": "Follow EVM chains, close epochs, pay withdrawals, run the periodic tasks.",
    "api": "Serve the JSON interface, the pages and /metrics.",
    "miner": "Run the built-in miner against our own edge, as `up` does.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, text in HELP.items():
        app.command(name, help=text)(_command(name))


def _command(name: str) -> Callable[..., None]:
    def run(config: ConfigOption = None) -> None:
        from millpond.ops.part import run_part
        from millpond.ops.parts import body_of

        raise typer.Exit(run_part(name, read_config(config), body_of(name)))

    return run

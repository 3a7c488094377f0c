"""`millpond keys`: make encrypted key files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Keys that sign on EVM chains.")
    group.command("new")(new)
    group.command("show")(show)
    app.add_typer(group, name="keys")


_Unlock = Annotated[str, typer.Option(help="Where the password is: env:NAME or file:PATH.")]


def new(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    unlock: _Unlock,
) -> None:
    """Make a new key in an encrypted file (Web3 Secret Storage, version 3) and print its address."""
    from millpond.chains.evm.keystore import read_password, write_keystore
    from millpond.ops.system import SystemEntropy

    password = read_password(unlock)
    typer.echo(write_keystore(file, SystemEntropy().token(32), password=password))


def show(
    file: Annotated[Path, typer.Argument(help="An encrypted key file.")], unlock: _Unlock
) -> None:
    """Open a key file and print its address; the key itself is never shown."""
    from millpond.chains.evm.keystore import KeystoreSigner, read_password

    typer.echo(KeystoreSigner.open(file, password=read_password(unlock)).address)

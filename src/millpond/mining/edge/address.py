"""The address that blocks pay: asked of the wallet once, then the same for ever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from millpond.chains.bitcoin.address import script_pubkey
from millpond.chains.coins import Coin


class AddressSource(Protocol):
    """The pool's wallet; `millpond.chains.bitcoin.wallet.Wallet` is one."""

    async def new_address(self) -> str:
        """A fresh address of the wallet."""


async def pool_address(path: Path, wallet: AddressSource, coin: Coin) -> str:
    """The address in the file at `path`; a new one of the wallet if there is no such file.

    Raises:
        InvalidAddressError: The file holds no address of this coin.
        RpcError: The wallet does not answer.
    """
    address = _read(path)
    if not address:
        address = await wallet.new_address()
        script_pubkey(address, coin)
        _write_durably(path, address + "\n")
    script_pubkey(address, coin)
    return address


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _write_durably(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

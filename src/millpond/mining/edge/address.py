"""The address that blocks pay: asked of the wallet once, then the same for ever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from millpond.chains.bitcoin.address import script_pubkey
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.coins import Coin
from millpond.errors import ConflictError


class ForeignAddressError(ConflictError):
    """Blocks would pay an address that the pool's wallet cannot spend from."""

    code = "address_not_ours"


class AddressSource(Protocol):
    """The pool's wallet; `millpond.chains.bitcoin.wallet.Wallet` is one."""

    async def new_address(self) -> str:
        """A fresh address of the wallet."""

    async def owns(self, address: str) -> bool:
        """Whether the wallet can spend what an address of the coin receives."""


async def pool_address(path: Path, wallet: AddressSource, coin: Coin) -> str:
    """The address in the file at `path`; a new one of the wallet if there is no such file.

    Raises:
        ForeignAddressError: The file is of another wallet or of another chain.
        RpcError: The wallet does not answer.
    """
    address = stored_address(path)
    if not address:
        address = await wallet.new_address()
        script_pubkey(address, coin)
        _write_durably(path, address + "\n")
    else:
        mend = f"move {path} away to have a new address made"
        await require_ours(address, wallet, coin, mend=mend)
    return address


async def require_ours(address: str, wallet: AddressSource, coin: Coin, *, mend: str) -> None:
    """Make sure that payouts can be paid from what blocks bring to `address`.

    Args:
        address: What blocks would pay.
        wallet: The wallet that payouts are paid from.
        coin: What is mined.
        mend: What else to do than to bring the right wallet back.

    Raises:
        ForeignAddressError: It is not of this coin or not of this wallet.
        RpcError: The wallet does not answer.
    """
    if not is_address(address, coin) or not await wallet.owns(address):
        raise ForeignAddressError(
            f"blocks would pay {address}, which the {coin.name} wallet does not own: give the"
            f" daemon the wallet that the address is from, or {mend}",
            address=address,
        )


def is_address(text: str, coin: Coin) -> bool:
    """Whether the text is an address of the coin."""
    try:
        script_pubkey(text, coin)
    except InvalidAddressError:
        return False
    return True


def stored_address(path: Path) -> str:
    """The address kept at `path`; empty if there is none."""
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

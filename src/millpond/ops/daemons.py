"""The daemons and wallets that the configuration names, ready for use."""

from __future__ import annotations

import os
from pathlib import Path

from millpond.chains.bitcoin.address import parse_address
from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.coins import Coin, coin_named
from millpond.clock import Clock
from millpond.errors import InvalidInputError
from millpond.ops.config.settings import Config, DaemonSettings, PoolSettings


def endpoint(settings: DaemonSettings) -> RpcEndpoint:
    """A daemon's JSON-RPC, without a wallet."""
    return RpcEndpoint(
        settings.url,
        settings.user,
        settings.password,
        cookie_file=settings.cookie_file or None,
        timeout_s=settings.timeout_s,
    )


def daemon_set(config: Config, coin: Coin, clock: Clock) -> DaemonSet:
    """All daemons of a coin, in the order of the configuration."""
    return DaemonSet([endpoint(daemon) for daemon in _of_coin(config, coin)], coin, clock)


def wallet(config: Config, coin: Coin) -> Wallet:
    """The wallet of the coin's first daemon; `open` it before use."""
    first = _of_coin(config, coin)[0]
    return Wallet(endpoint(first).for_wallet(first.wallet), coin)


async def pool_address(config: Config, pool: PoolSettings, opened: Wallet) -> str:
    """Where a pool's blocks pay to: as set, or made once and kept in the data directory.

    Raises:
        InvalidInputError: The address is not of the daemon's wallet.
        RpcError: The daemon does not answer.
    """
    kept = config.data_path / f"address-{pool.id}"
    address = pool.address or _read(kept)
    if not address:
        address = await opened.new_address()
        _write_new(kept, address)
        address = _read(kept)
    parse_address(address, coin_named(pool.coin))
    return address


def _of_coin(config: Config, coin: Coin) -> list[DaemonSettings]:
    found = [daemon for daemon in config.the_daemons if daemon.coin == coin.name]
    if not found:
        raise InvalidInputError(f"no daemon is named for {coin.name}")
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _write_new(path: Path, text: str) -> None:
    """Write a file that two processes may want to make at once: the first one stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()

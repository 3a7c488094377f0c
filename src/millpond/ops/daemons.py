"""The daemons and wallets that the configuration names, ready for use."""

from __future__ import annotations

from pathlib import Path

from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.bitcoin.wallet import Wallet
from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.errors import InvalidInputError
from millpond.mining.edge import pool_address, require_ours
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
    return Wallet(endpoint(first), coin, name=first.wallet)


async def block_address(config: Config, pool: PoolSettings, opened: Wallet) -> str:
    """Where a pool's blocks pay to: as set, or made once and kept in the data directory.

    Raises:
        ForeignAddressError: What is set or kept is not the wallet's.
        RpcError: The daemon does not answer.
    """
    if pool.address:
        mend = "name one of its addresses, or none, in pools.address"
        await require_ours(pool.address, opened, opened.coin, mend=mend)
        return pool.address
    return await pool_address(address_file(config, pool), opened, opened.coin)


def address_file(config: Config, pool: PoolSettings) -> Path:
    """Where the address that a pool's blocks pay to is kept."""
    return config.data_path / f"address-{pool.id}"


def _of_coin(config: Config, coin: Coin) -> list[DaemonSettings]:
    found = [daemon for daemon in config.the_daemons if daemon.coin == coin.name]
    if not found:
        raise InvalidInputError(f"no daemon is named for {coin.name}")
    return found

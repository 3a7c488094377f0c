"""Faults that only show when settings are seen together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from millpond.chains.bitcoin.address import canonical_address, parse_address
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.coins import COINS, Coin
from millpond.errors import InvalidInputError
from millpond.mining.accounts import wallet_of
from millpond.mining.rewards import scheme_from
from millpond.ops.config.faults import Fault
from millpond.ops.config.settings import Config, PoolSettings

_DEVCHAIN_COINS = frozenset(name for name in COINS if name.startswith("devcoin"))


def check(config: Config) -> list[Fault]:
    """Everything wrong with a configuration whose single values are right."""
    return [
        *_urls(config),
        *_coins(config),
        *_repeated(config),
        *_pools(config),
        *_daemons(config),
        *_chains(config),
        *(Fault("oracle", text) for text in config.oracle.faults()),
    ]


def _urls(config: Config) -> Iterator[Fault]:
    urls = {"database.url": config.database.url, "sharelog.url": config.sharelog.url}
    for name, url in urls.items():
        if not url:
            continue
        # What can read a URL is heavy, and most configurations of a small pool have none.
        from millpond.store.engine import parse_url  # noqa: PLC0415

        try:
            parse_url(url)
        except InvalidInputError as error:
            yield Fault(name, error.message.removeprefix("database.url "))


def _coins(config: Config) -> Iterator[Fault]:
    known = ", ".join(sorted(COINS))
    named = [(f"daemons[{at}].coin", daemon.coin) for at, daemon in enumerate(config.daemons)]
    named += [(f"pools[{at}].coin", pool.coin) for at, pool in enumerate(config.pools)]
    for path, coin in named:
        if coin not in COINS:
            yield Fault(path, f"no coin is named {coin!r}; known are {known}")


def _repeated(config: Config) -> Iterator[Fault]:
    for url, count in Counter(daemon.url for daemon in config.daemons).items():
        if count > 1:
            yield Fault("daemons", f"{url} is named {count} times")
    for pool_id, count in Counter(pool.id for pool in config.pools).items():
        if count > 1:
            yield Fault("pools", f"the id {pool_id} is given {count} times")


def _pools(config: Config) -> Iterator[Fault]:
    served = {daemon.coin for daemon in config.daemons} or _DEVCHAIN_COINS
    if config.daemons and not config.pools:
        yield Fault("pools", "at least one pool is needed when daemons are named")
    for at, pool in enumerate(config.pools):
        if pool.coin in COINS and pool.coin not in served:
            yield Fault(f"pools[{at}].coin", f"no daemon is named for {pool.coin}")
        yield from _own_faults(f"pools[{at}]", pool)
        if pool.address and pool.coin in COINS:
            try:
                parse_address(pool.address, COINS[pool.coin])
            except InvalidAddressError as error:
                yield Fault(f"pools[{at}].address", error.message)


def _own_faults(path: str, pool: PoolSettings) -> Iterator[Fault]:
    """What the rooms themselves find wrong with their sections."""
    try:
        scheme_from(pool.rewards)
    except InvalidInputError as error:
        yield Fault(f"{path}.rewards", error.message.replace("rewards.", ""))
    if pool.coin in COINS:
        for message in pool.blocks.faults(COINS[pool.coin]):
            yield Fault(f"{path}.blocks", message)
        yield from _payees(path, pool, COINS[pool.coin])


def _payees(path: str, pool: PoolSettings, coin: Coin) -> Iterator[Fault]:
    """Addresses of the rewards section: money booked to anything else can never be paid."""
    rewards = pool.rewards
    named = {"donation_wallet": [rewards.donation_wallet] if rewards.donation_wallet else []}
    named |= {"parts": list(rewards.parts), "overrides": list(rewards.overrides)}
    for name, texts in named.items():
        for text in texts:
            wallet = text if name == "donation_wallet" else wallet_of(text)
            try:
                canonical = canonical_address(wallet, coin)
            except InvalidAddressError as error:
                yield Fault(f"{path}.rewards.{name}", error.message)
            else:
                if canonical != wallet:
                    yield Fault(f"{path}.rewards.{name}", f"{wallet} is written {canonical}")


def _daemons(config: Config) -> Iterator[Fault]:
    for at, daemon in enumerate(config.daemons):
        if not daemon.url.startswith(("http://", "https://")):
            yield Fault(f"daemons[{at}].url", "starts with http:// or https://")
        if "@" in daemon.url:
            yield Fault(f"daemons[{at}].url", "takes no password; set user and password")
        if daemon.cookie_file and (daemon.user or daemon.password):
            yield Fault(f"daemons[{at}]", "has a cookie file and a user; one of them is enough")


def _chains(config: Config) -> Iterator[Fault]:
    for what in ("name", "chain_id"):
        for value, count in Counter(getattr(chain, what) for chain in config.the_chains).items():
            if count > 1:
                yield Fault("evm", f"the {what} {value} is given {count} times")
    for at, chain in enumerate(config.evm):
        if chain.nodes.quorum > len(chain.urls):
            yield Fault(f"evm[{at}].nodes.quorum", "is more than there are urls")
        for url in chain.urls:
            if not url.startswith(("http://", "https://")):
                yield Fault(f"evm[{at}].urls", "start with http:// or https://")
        for number, key in enumerate(chain.keys):
            if not key.unlock.startswith(("env:", "file:")):
                yield Fault(f"evm[{at}].keys[{number}].unlock", "is env:NAME or file:PATH")

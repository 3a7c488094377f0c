"""`millpond init`: everything a pool needs before its first start; safe to repeat."""

from __future__ import annotations

import os
from pathlib import Path

from millpond.chains.coins import coin_named
from millpond.errors import InvalidInputError
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.ops.config import Config
from millpond.ops.config.explain import template
from millpond.ops.daemons import block_address, wallet
from millpond.ops.supervisor import Say
from millpond.store.migrate import migrate


def write_config(path: Path, say: Say) -> None:
    """Write a commented configuration to `path`.

    Raises:
        InvalidInputError: There is a file already.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidInputError(f"{path} exists already") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(template())
    say(f"wrote     {path}: the demo's settings, each with its meaning")


async def prepare(config: Config, say: Say) -> None:
    """Make the data directory, the databases, and each pool's wallet and address.

    Raises:
        MillpondError: A database or daemon cannot be used.
    """
    config.data_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    say(f"data      {config.data_path}")
    applied = await migrate(config.database_url)
    say(f"database  {'brought up to ' + applied[-1] if applied else 'is up to date'}")
    log = await ShareLogReader.open(config.sharelog_settings.url)
    await log.close()
    say("sharelog  is ready")
    if config.uses_devchain:
        say("chain     the embedded devchain; `millpond up` starts it")
        return
    for pool in config.the_pools:
        coin = coin_named(pool.coin)
        opened = wallet(config, coin)
        try:
            await opened.open()
            address = await block_address(config, pool, opened)
        finally:
            await opened.close()
        say(f"pool      {pool.id} pays its blocks to {address} (wallet {opened.name!r})")

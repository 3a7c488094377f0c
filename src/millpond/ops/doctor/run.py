"""All checks, in an order in which the first fault explains the later ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from millpond.clock import Clock
from millpond.ops.config import Config
from millpond.ops.doctor import chains, daemons, databases, machine
from millpond.ops.doctor.findings import Finding


async def examine(config: Config, config_path: Path | None, clock: Clock) -> AsyncIterator[Finding]:
    """Look at everything that `config` names; changes nothing."""
    for findings in (
        machine.data_directory(config),
        machine.disk(config),
        machine.secrets(config, config_path),
        machine.open_files(),
        machine.ports(config),
    ):
        for finding in findings:
            yield finding
    async for finding in databases.database(config, clock):
        yield finding
    async for finding in databases.sharelog(config, clock):
        yield finding
    for settings in config.daemons:
        async for finding in daemons.daemon(settings, clock):
            yield finding
    for pool in config.the_pools if config.daemons else ():
        async for finding in daemons.block_address(config, pool):
            yield finding
    async for finding in _chains(config):
        yield finding


async def _chains(config: Config) -> AsyncIterator[Finding]:
    for settings in config.evm:
        async for finding in chains.chain(settings, config.staking.min_gas_wei):
            yield finding

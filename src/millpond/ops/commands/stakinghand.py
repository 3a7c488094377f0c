"""`millpond staking restart` and `accept`: what a person decides when a chain went back too far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from millpond.ops.commands.common import ActorOption, ConfigOption, read_config
from millpond.ops.commands.deploy import PoolOption

if TYPE_CHECKING:
    from pathlib import Path

    from millpond.clock import Clock
    from millpond.store import Tx

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is written down.")]

_Result = TypeVar("_Result")


def register(group: typer.Typer) -> None:
    """Add the commands to the group `staking`."""
    group.command("restart")(restart)
    group.command("accept")(accept)


def restart(
    reason: ReasonOption,
    pool: PoolOption = "btcd-main-pool",
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Have a pool that stands still followed again; it stops again if nothing has changed."""
    from millpond.alerts import Alerts
    from millpond.clock import Ids
    from millpond.ops.system import SystemEntropy
    from millpond.staking.restarting import restart as go_on
    from millpond.trail import Trail

    async def work(tx: Tx, clock: Clock) -> str:
        alerts = Alerts(clock, Ids(clock, SystemEntropy()))
        return await go_on(tx, pool, actor=actor, reason=reason, alerts=alerts, trail=Trail(clock))

    typer.echo(f"{pool} goes on; it stood still because {_done(config, work)}")


def accept(
    epoch: Annotated[int, typer.Argument(help="Number of the epoch, as `staking statement`.")],
    reason: ReasonOption,
    pool: PoolOption = "btcd-main-pool",
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Let a disputed epoch stand as it was paid, so that later ones are closed again."""
    from millpond.alerts import Alerts
    from millpond.clock import Ids
    from millpond.money.ledger import Ledger
    from millpond.ops.system import SystemEntropy
    from millpond.staking.rewards.epochs import Epochs
    from millpond.trail import Trail

    async def work(tx: Tx, clock: Clock) -> str:
        alerts = Alerts(clock, Ids(clock, SystemEntropy()))
        epochs = Epochs(Ledger(clock), clock, alerts, Trail(clock))
        return (await epochs.accept(tx, actor, pool, epoch, reason=reason)).note

    typer.echo(f"epoch {epoch} of {pool} stands: {_done(config, work)}")


def _done(config: Path | None, work: Callable[[Tx, Clock], Awaitable[_Result]]) -> _Result:
    """Do it in one transaction of the configured database."""
    import asyncio

    from millpond.ops.system import SystemClock
    from millpond.store import Store

    async def run() -> _Result:
        store = await Store.open(read_config(config).database_url, pool_size=1)
        try:
            async with store.begin() as tx:
                return await work(tx, SystemClock())
        finally:
            await store.close()

    return asyncio.run(run())

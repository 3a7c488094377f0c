"""`millpond staking`: take pools into service, fund them, see how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands import stakinghand
from millpond.ops.commands.common import (
    ActorOption,
    ChainOption,
    ConfigOption,
    JsonOption,
    read_config,
)
from millpond.ops.commands.deploy import (
    GuardianOption,
    KindOption,
    OperatorOption,
    OwnerOption,
    PoolOption,
    TokenOption,
    wish_of,
)

if TYPE_CHECKING:
    from millpond.ops.stakingstatus import PoolStatus
    from millpond.staking.pools import StakingPool


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Staking pools.")
    group.command("init")(init)
    group.command("fund")(fund)
    group.command("status")(status)
    group.command("mint")(mint)
    group.command("statement")(statement)
    stakinghand.register(group)
    app.add_typer(group, name="staking")


def init(
    pool: PoolOption = "btcd-main-pool",
    kind: KindOption = "direct",
    token: TokenOption = None,
    owner: OwnerOption = None,
    operator: OperatorOption = None,
    guardian: GuardianOption = None,
    per_minute: Annotated[
        str | None,
        typer.Option(help="Tokens that the whole pool earns a minute; of a new pool by default 1."),
    ] = None,
    epoch_s: Annotated[int, typer.Option(min=60, help="Length of an epoch in seconds.")] = 300,
    confirmations: Annotated[int, typer.Option(min=1, max=200, help="Blocks until booked.")] = 12,
    minimum: Annotated[str, typer.Option(help="Least withdrawal in tokens; 0: any.")] = "0",
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Take a pool that `deploy staking` put on the chain into service."""
    import asyncio

    from millpond.ops.evm import open_evm_desk
    from millpond.ops.staking import StakingDesk, Terms

    wish = wish_of(pool, kind, token, owner, operator, guardian)
    terms = Terms(
        per_minute=per_minute, epoch_s=epoch_s, confirmations=confirmations, minimum=minimum
    )

    async def work() -> StakingPool:
        async with open_evm_desk(read_config(config), chain) as desk:
            return await StakingDesk(desk, actor=actor, say=typer.echo).take_in(wish, terms)

    made = asyncio.run(work())
    typer.echo(f"{made.pool_id}: {made.kind.value} pool of {made.token.symbol}, {made.contract}")
    typer.echo(
        f"  {made.asset.amount(made.reward_per_minute)} a minute, epochs of {made.epoch_s} s, "
        f"booked after {made.confirmations} blocks, indexed from block {made.start_block}"
    )


def fund(
    amount: Annotated[str, typer.Option("--amount", help="Tokens, such as 1000 or 0.5.")],
    pool: PoolOption = "btcd-main-pool",
    order: Annotated[
        str | None,
        typer.Option(help="Name of this order: the same one again goes on, and funds once."),
    ] = None,
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Fund a pool's rewards with tokens of this machine's first key."""
    import asyncio

    from millpond.ops.evm import open_evm_desk
    from millpond.ops.staking import StakingDesk
    from millpond.staking.pools import get_pool

    async def work() -> str:
        async with open_evm_desk(read_config(config), chain, say=typer.echo) as desk:
            async with desk.store.read() as tx:
                found = await get_pool(tx, pool)
            units = found.asset.parse(amount).units
            name = order or desk.intents.ids.new()
            typer.echo(f"order     {name}")
            made = StakingDesk(desk, actor=actor, say=typer.echo)
            done = await made.fund(pool, units, order=name)
            return f"funded {found.asset.amount(units)} in {done.tx_hash}"

    typer.echo(asyncio.run(work()))


def mint(
    amount: Annotated[str, typer.Option("--amount", help="Tokens, such as 1000.")],
    pool: PoolOption = "btcd-main-pool",
    to: Annotated[
        str | None, typer.Option(help="Who gets them. Default: this machine's first key.")
    ] = None,
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Mint tokens of the test token that `deploy staking` made; a real token cannot be minted."""
    import asyncio

    from millpond.ops.evm import open_evm_desk
    from millpond.ops.staking import StakingDesk

    async def work() -> str:
        async with open_evm_desk(read_config(config), chain, say=typer.echo) as desk:
            made = StakingDesk(desk, actor=actor, say=typer.echo)
            done = await made.mint(pool, amount, to)
            return f"minted {amount} in {done.tx_hash}"

    typer.echo(asyncio.run(work()))


def statement(
    epoch: Annotated[int, typer.Argument(help="Number of the epoch.")],
    pool: PoolOption = "btcd-main-pool",
    config: ConfigOption = None,
) -> None:
    """Print an epoch's statement, for `millpond verify epoch`."""
    import asyncio
    import sys

    from millpond.ops.database import open_database
    from millpond.staking.rewards.statements import export

    async def work() -> bytes:
        async with open_database(read_config(config)) as store, store.read() as tx:
            return await export(tx, pool, epoch)

    sys.stdout.buffer.write(asyncio.run(work()))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every pool: what is staked, funded, owed and waiting."""
    import asyncio

    from millpond.ops.stakingstatus import read_status

    pools = asyncio.run(read_status(read_config(config)))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(pools).decode())
        return
    if not pools:
        typer.echo("no staking pool is in service; see millpond deploy staking")
    for each in pools:
        for line in _lines(each):
            typer.echo(line)


def _behind(pool: PoolStatus) -> str:
    if pool.silent_since is not None:
        return f"and too few nodes answer since {pool.silent_since}"
    if pool.indexed_at is None:
        return "nothing was read yet"
    return f"{pool.behind} behind, as seen at {pool.indexed_at}"


def _lines(pool: PoolStatus) -> list[str]:
    last = pool.last_epoch
    closed = "none closed yet" if last is None else f"epoch {last} was closed last"
    stopped = f", stands still: {pool.stopped}" if pool.stopped else ""
    return [
        f"{pool.pool_id}  {pool.kind} on chain {pool.chain_id}, {pool.state}",
        f"  staked       {pool.staked} by {pool.stakers}",
        f"  rewards      {pool.reserve} left to distribute, {pool.owed} distributed, not claimed",
        f"  epochs       {closed}",
        f"  withdrawals  {pool.waiting} open",
        f"  indexed      to block {pool.indexed}, {_behind(pool)}{stopped}",
        *(f"  held         {held}" for held in pool.held),
        *([f"  alerts       {pool.alerts} open, see the operator's page"] if pool.alerts else []),
    ]

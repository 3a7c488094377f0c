"""`millpond deploy`: put contracts on a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands.common import ActorOption, ChainOption, ConfigOption, read_config

if TYPE_CHECKING:
    from millpond.ops.staking import Wish
    from millpond.staking.deploy import Deployment, Spec

PoolOption = Annotated[str, typer.Option("--pool", help="Name of the pool.")]
KindOption = Annotated[str, typer.Option("--kind", help="direct or vault.")]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", help="The ERC-20 to stake; without one, a test token is made."),
]
OwnerOption = Annotated[
    str | None, typer.Option(help="Sets limits and roles; a Safe. Default: the first key.")
]
OperatorOption = Annotated[
    str | None, typer.Option(help="Pays and posts: the hot key. Default: the first key.")
]
GuardianOption = Annotated[
    str | None, typer.Option(help="May pause, no more. Default: the first key.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Put contracts on an EVM chain.")
    group.command("staking")(staking)
    app.add_typer(group, name="deploy")


def staking(
    pool: PoolOption = "btcd-main-pool",
    kind: KindOption = "direct",
    token: TokenOption = None,
    owner: OwnerOption = None,
    operator: OperatorOption = None,
    guardian: GuardianOption = None,
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Deploy a staking pool's contracts. Run it again to go on where it stopped."""
    import asyncio

    from millpond.ops.evm import open_evm_desk
    from millpond.ops.staking import StakingDesk

    wish = wish_of(pool, kind, token, owner, operator, guardian)

    async def work() -> Deployment | None:
        async with open_evm_desk(read_config(config), chain, say=typer.echo) as desk:
            if dry_run:
                await desk.room.nodes.head(agreed=True)  # the nodes answer, and for this chain
                for line in _planned(wish.spec(desk)):
                    typer.echo(line)
                return None
            return await StakingDesk(desk, actor=actor, say=typer.echo).deploy(wish)

    deployment = asyncio.run(work())
    if deployment is not None:
        for line in _done(deployment):
            typer.echo(line)


def wish_of(
    pool: str,
    kind: str,
    token: str | None,
    owner: str | None,
    operator: str | None,
    guardian: str | None,
) -> Wish:
    """What the options ask for.

    Raises:
        InvalidInputError: No such kind of pool.
    """
    from millpond.errors import InvalidInputError
    from millpond.ops.staking import Wish
    from millpond.staking.pools import PoolKind

    try:
        chosen = PoolKind(kind)
    except ValueError:
        raise InvalidInputError("a pool is direct or vault") from None
    return Wish(pool, chosen, token, owner, operator, guardian)


def _planned(spec: Spec) -> list[str]:
    from millpond.chains.evm.contracts import artifact
    from millpond.staking.deploy import plan

    lines = [f"on chain {spec.chain_id}, by {spec.deployer}:"]
    for step in plan(spec):
        if step.target is not None:
            hand = spec.roles.owner != spec.deployer
            lines.append(
                f"  {step.name:<8} {step.what}{' (by the owner, by hand)' if hand else ''}"
            )
            continue
        size = len(artifact(step.artifact).deployed_bytecode) // 2 - 1
        lines.append(f"  {step.name:<8} {step.artifact}: {step.what} ({size} bytes of code)")
    roles = spec.roles
    return [
        *lines,
        f"owner {roles.owner}, operator {roles.operator}, guardian {roles.guardian}",
        "nothing was done",
    ]


def _named(spec: Spec) -> str:
    """The options of `deploy` that `init` needs as well."""
    roles = spec.roles
    named = {"owner": roles.owner, "operator": roles.operator, "guardian": roles.guardian}
    options = [f" --{role} {who}" for role, who in named.items() if who != spec.deployer]
    return "".join(options) + (f" --token {spec.token}" if spec.token else "")


def _done(deployment: Deployment) -> list[str]:
    lines = ["", "checked on the chain:"]
    lines += [
        f"  {each.step:<8} {each.address}  {each.artifact:<18} code sha256 {each.code_sha256}"
        for each in deployment.contracts
    ]
    if deployment.by_hand:
        lines += ["", "left to do by hand:"]
    for each in deployment.by_hand:
        lines += [f"  {each.what}: from {each.sender} to {each.to} with data", f"  {each.data}"]
    spec = deployment.spec
    mint = (
        [] if spec.token else [f"      millpond staking mint --pool {spec.pool_id} --amount 1000"]
    )
    lines += [
        "",
        f"next: millpond staking init --pool {spec.pool_id} --kind {spec.kind.value}{_named(spec)}",
        *mint,
        f"      millpond staking fund --pool {spec.pool_id} --amount 1000",
    ]
    return lines

"""`millpond safe`: transactions of a multi-signature Safe, prepared, signed and executed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from millpond.ops.commands.common import (
    ActorOption,
    ChainOption,
    ConfigOption,
    JsonOption,
    read_config,
)

if TYPE_CHECKING:
    from millpond.chains.evm.proposals import Proposal
    from millpond.ops.safe import SafeDesk

_T = TypeVar("_T")
ProposalArgument = Annotated[str, typer.Argument(help="The proposal, as `safe list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Transactions of a multi-signature Safe.")
    for name, command in (
        ("propose", propose),
        ("list", list_them),
        ("sign", sign),
        ("add-signature", add_signature),
        ("execute", execute),
        ("cancel", cancel),
    ):
        group.command(name)(command)
    app.add_typer(group, name="safe")


def propose(
    safe: Annotated[str, typer.Argument(help="Address of the Safe.")],
    to: Annotated[str, typer.Option(help="Which contract it is to call.")],
    data: Annotated[str, typer.Option(help="0x-hex to call it with, as `deploy` prints it.")],
    title: Annotated[str, typer.Option(help="What it is for, one line.")],
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Prepare a transaction of the Safe for its owners to sign."""
    _shown(_at_desk(config, chain, lambda desk: desk.propose(safe, to, data, title, actor=actor)))


def list_them(
    safe: Annotated[str | None, typer.Option(help="Only of this Safe.")] = None,
    chain: ChainOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List proposals, newest first."""
    found = _at_desk(config, chain, lambda desk: desk.listed(safe))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found, enc_hook=lambda raw: raw.hex()).decode())
        return
    for proposal in found:
        _shown(proposal)


def sign(
    proposal: ProposalArgument,
    chain: ChainOption = None,
    config: ConfigOption = None,
) -> None:
    """Sign with those keys of this machine that are owners of the Safe."""
    _shown(_at_desk(config, chain, lambda desk: desk.sign(proposal)))


def add_signature(
    proposal: ProposalArgument,
    signature: Annotated[str, typer.Argument(help="65 bytes as 0x-hex, of safe_tx_hash.")],
    chain: ChainOption = None,
    config: ConfigOption = None,
) -> None:
    """Keep a signature that an owner made elsewhere."""
    _shown(_at_desk(config, chain, lambda desk: desk.add_signature(proposal, signature)))


def execute(
    proposal: ProposalArgument,
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Execute a proposal that has its signatures; this machine's first key pays the gas."""
    _shown(_at_desk(config, chain, lambda desk: desk.execute(proposal, actor=actor)))


def cancel(
    proposal: ProposalArgument,
    reason: Annotated[str, typer.Option(help="Why; it is written down.")],
    chain: ChainOption = None,
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Give a proposal up."""
    _shown(_at_desk(config, chain, lambda desk: desk.cancel(proposal, actor=actor, reason=reason)))


def _at_desk(
    config: Path | None, chain: str | None, work: Callable[[SafeDesk], Awaitable[_T]]
) -> _T:
    import asyncio

    from millpond.ops.evm import open_evm_desk
    from millpond.ops.safe import SafeDesk

    async def at_desk() -> _T:
        async with open_evm_desk(read_config(config), chain) as desk:
            return await work(SafeDesk(desk))

    return asyncio.run(at_desk())


def _shown(proposal: Proposal) -> None:
    typer.echo(f"{proposal.id}  {proposal.state:<10} nonce {proposal.safe_nonce}  {proposal.title}")
    typer.echo(f"{'':10}{proposal.safe}  safe_tx_hash {proposal.safe_tx_hash}")
    if proposal.reason:
        typer.echo(f"{'':10}{proposal.reason}")

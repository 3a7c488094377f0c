"""`millpond payout`: see, make, hold and end payouts by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands.common import ConfigOption, JsonOption, read_config

if TYPE_CHECKING:
    from millpond.mining.payouts import Payout
    from millpond.mining.payouts.run import DryRun, RunResult

_ACTS = {
    "retry": "Try now; a frozen one gets a new transaction if the old one provably is dead.",
    "abandon": "Give up the transaction and return the money to the balances.",
    "freeze": "Stop at once, until it is released.",
    "release": "Let a frozen one go on where it was.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="See and steer payouts.")
    group.command("run")(run)
    group.command("list")(list_payouts)
    for name, text in _ACTS.items():
        group.command(name, help=text)(_act(name))
    app.add_typer(group, name="payout")


def run(
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
) -> None:
    """Ask for all payouts that are due, whatever the clock; the worker sends them."""
    import asyncio

    from millpond.ops.desk import open_desk

    async def work() -> dict[str, RunResult] | dict[str, DryRun]:
        async with open_desk(read_config(config)) as desk:
            return await (desk.dry_run() if dry_run else desk.run())

    for coin, result in asyncio.run(work()).items():
        for line in _lines(coin, result):
            typer.echo(line)


def list_payouts(
    config: ConfigOption = None,
    wallet: Annotated[str | None, typer.Option(help="Only of this address.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List payouts, newest first."""
    import asyncio

    from millpond.ops.desk import open_desk

    async def work() -> list[Payout]:
        async with open_desk(read_config(config)) as desk:
            return await desk.listed(wallet=wallet, limit=limit)

    payouts = asyncio.run(work())
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(payouts).decode())
        return
    for payout in payouts:
        txid = payout.txid or "-"
        typer.echo(f"{payout.id}  {payout.state:<9} {_money(payout)}  {payout.wallet}  {txid}")
        if payout.reason:
            typer.echo(f"{'':34}{payout.reason}")


def _act(act: str) -> Callable[..., None]:
    def command(
        payout_id: Annotated[str, typer.Argument(help="The payout, as `payout list` shows it.")],
        reason: Annotated[str, typer.Option(help="Why; it is written down.")],
        actor: Annotated[
            str, typer.Option(envvar="USER", help="Who; it is written down.")
        ] = "operator",
        confirm: Annotated[
            str | None,
            typer.Option(help="For abandon: the txid, if it may still be confirmed."),
        ] = None,
        config: ConfigOption = None,
    ) -> None:
        import asyncio

        from millpond.ops.desk import open_desk

        async def work() -> str:
            async with open_desk(read_config(config)) as desk:
                intent = await desk.act(act, payout_id, actor=actor, reason=reason, confirm=confirm)
                return f"payout {payout_id}: its transaction is {intent.state.value}"

        typer.echo(asyncio.run(work()))

    return command


def _lines(coin: str, result: RunResult | DryRun) -> list[str]:
    from millpond.chains.coins import coin_named
    from millpond.mining.payouts.run import RunResult

    asset = coin_named(coin).asset
    if isinstance(result, RunResult):
        return [
            *(f"{coin}: requested {_money(p)} for {p.wallet}" for p in result.requested),
            *(f"{coin}: failed {p.id}: {p.reason}" for p in result.failed),
            *(f"{coin}: waiting {payout_id}: {why}" for payout_id, why in result.waiting),
            f"{coin}: {len(result.batches)} transactions to be sent",
        ]
    lines = []
    for batch in result.plan.batches:
        total = asset.amount(batch.amount)
        fee = asset.amount(batch.fee_estimate)
        lines.append(f"{coin}: would send {total}, fee about {fee}, by {batch.fee_policy}")
        lines += [f"  {asset.amount(units)} to {to}" for to, units in batch.outputs.items()]
    lines += [f"{coin}: waiting {payout_id}: {why}" for payout_id, why in result.plan.waiting]
    return [*lines, f"{coin}: would send {len(result.plan.batches)} transactions"]


def _money(payout: Payout) -> str:
    from millpond.chains.coins import coin_named

    return str(coin_named(payout.coin).asset.amount(payout.amount))

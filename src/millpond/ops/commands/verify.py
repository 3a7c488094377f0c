"""`millpond verify`: hold what the pool says against the chain, without trusting the pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands.common import JsonOption

if TYPE_CHECKING:
    from millpond.staking.rewards.chainlog import ChainLog
    from millpond.staking.rewards.verify import Report

_MAX_FILE = 1 << 30


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Check what the pool says; no pool is needed.")
    group.command("epoch")(epoch)
    app.add_typer(group, name="verify")


def epoch(
    statement: Annotated[Path, typer.Argument(help="An epoch's statement, as it was published.")],
    rpc: Annotated[
        str | None, typer.Option(help="Address of any node of the chain; its events are read.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Events that were recorded with --record, instead.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep the node's events in this file.")
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="A statement that you trust, of the epoch before: start from it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute a statement again from the chain's events alone. Exit code 1 unless it is right."""
    import asyncio

    from millpond.errors import InvalidInputError
    from millpond.staking.rewards.chainlog import write_log
    from millpond.staking.rewards.verify import verify

    if (rpc is None) == (log is None):
        raise InvalidInputError("give --rpc or --log, one of the two")
    document = _read(statement)
    events = _recorded(log) if log else asyncio.run(_from_node(document, rpc or ""))
    if record is not None:
        record.write_bytes(write_log(events))
    report = verify(document, events, previous=_read(previous) if previous else None)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(report).decode())
    else:
        for line in _lines(report):
            typer.echo(line)
    raise typer.Exit(0 if report.matches else 1)


async def _from_node(document: bytes, rpc: str) -> ChainLog:
    from millpond.chains.evm.nodes import Nodes
    from millpond.chains.evm.rpc import RpcEndpoint
    from millpond.ops.system import SystemClock
    from millpond.staking.rewards.chainlog import record as record_events
    from millpond.staking.rewards.statement import decode

    pool = decode(document).pool
    nodes = Nodes([RpcEndpoint(rpc)], chain_id=pool.chain_id, clock=SystemClock())
    try:
        return await record_events(nodes, pool)
    finally:
        await nodes.close()


def _recorded(path: Path) -> ChainLog:
    from millpond.staking.rewards.chainlog import read_log

    return read_log(_read(path))


def _read(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidInputError: It cannot be read, or is larger than such a file is.
    """
    from millpond.errors import InvalidInputError

    try:
        if path.stat().st_size > _MAX_FILE:
            raise InvalidInputError(f"{path} is larger than 1 GiB")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from None


def _lines(report: Report) -> list[str]:
    head = f"{report.pool_id} epoch {report.epoch}, statement {report.statement_hash}"
    if report.matches:
        posted = "its root is on the chain" if report.posted else "no root is on the chain"
        return [head, f"right: {report.epochs} epochs computed again, to the unit; {posted}"]
    wrong = [
        f"  {each.name}: {each.expected} expected, {each.found} found" for each in report.mismatches
    ]
    return [head, "WRONG:", *wrong]

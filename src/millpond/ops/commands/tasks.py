"""`millpond tasks`: what is done again and again, and doing it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millpond.ops.commands.common import ActorOption, ConfigOption, JsonOption, read_config

if TYPE_CHECKING:
    from millpond.tasks import TaskStatus


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Periodic tasks.")
    group.command("list")(list_them)
    group.command("run")(run)
    app.add_typer(group, name="tasks")


def list_them(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tasks: last run, next run, lag, error."""
    import asyncio

    from millpond.ops.database import open_database
    from millpond.ops.system import SystemClock
    from millpond.tasks import list_tasks

    async def work() -> list[TaskStatus]:
        async with open_database(read_config(config)) as store, store.read() as tx:
            return await list_tasks(tx, SystemClock())

    tasks = asyncio.run(work())
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(tasks).decode())
        return
    for task in tasks:
        typer.echo(_line(task))
        if task.last_error:
            typer.echo(f"{'':24}{task.last_error}")


def run(
    name: Annotated[str, typer.Argument(help="The task, as `tasks list` shows it.")],
    actor: ActorOption = "operator",
    config: ConfigOption = None,
) -> None:
    """Have a task run at once, by whichever process has it; returns when that is written down."""
    import asyncio

    from millpond.ops.database import open_database
    from millpond.ops.system import SystemClock
    from millpond.tasks import run_now
    from millpond.trail import Trail

    async def work() -> TaskStatus:
        clock = SystemClock()
        async with open_database(read_config(config)) as store, store.begin() as tx:
            status = await run_now(tx, name, actor, clock)
            await Trail(clock).record(tx, actor, "tasks.run", name)
            return status

    typer.echo(_line(asyncio.run(work())))


def _line(task: TaskStatus) -> str:
    from millpond.ops.commands.common import shown_time

    last = shown_time(task.last_end_ms)
    state = "running" if task.running else f"next {shown_time(task.next_ms)}"
    return (
        f"{task.name:<24}every {task.interval_ms / 1000:g} s  last {last}  {state}  "
        f"lag {task.lag_ms / 1000:.1f} s  {task.runs} runs, {task.failures} failed"
    )

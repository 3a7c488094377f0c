"""The supervisor keeps its parts running, and leaves none behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from millpond.ops.config.settings import SupervisorSettings
from millpond.ops.supervisor import PartPlan, PartsFailedError, Supervisor
from millpond.ops.system import SystemClock

PART = """
import json, os, signal, sys, time
from millpond.ops.process import PARENT_PID, die_with_parent
die_with_parent(int(os.environ[PARENT_PID]))
name, folder, mode = sys.argv[1:4]
fd = int(os.environ["MILLPOND_NOTIFY_FD"])
with open(f"{folder}/events", "a") as events:
    events.write(f"start {name} {os.getpid()}\\n")
def stop(*_):
    with open(f"{folder}/events", "a") as events:
        events.write(f"stop {name}\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else stop)
if mode == "crash-once" and not os.path.exists(f"{folder}/crashed"):
    open(f"{folder}/crashed", "w").close()
    os._exit(7)
if mode == "crash":
    os._exit(7)
if mode == "faulty":
    os._exit(2)
if mode != "silent":
    beat = {"part": name, "pid": os.getpid(), "state": "ready", "detail": f"at {name}"}
    os.write(fd, json.dumps(beat).encode() + b"\\n")
while True:
    signal.pause()
"""

QUICK = SupervisorSettings(
    restart_first_s=0.01, restart_longest_s=0.02, restart_limit=3, stop_timeout_s=5
)


class Yard:
    """A place to supervise scripted parts in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "part.py"
        self.script.write_text(PART)
        self.said: list[str] = []
        self.heard = asyncio.Event()

    def plan(self, name: str, mode: str = "good", *, needs=(), rank: int = 0) -> PartPlan:
        command = (sys.executable, str(self.script), name, str(self.folder), mode)
        return PartPlan(name, command, needs, rank)

    def supervisor(self, *plans: PartPlan, settings=QUICK) -> Supervisor:
        return Supervisor(
            plans,
            settings,
            clock=SystemClock(),
            say=self._say,
            environ=os.environ,
            when_ready=lambda _: self._say("ALL READY"),
        )

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.heard.set()

    async def until(self, words: str) -> None:
        async with asyncio.timeout(60):
            while not any(words in line for line in self.said):
                self.heard.clear()
                await self.heard.wait()

    @property
    def events(self) -> list[str]:
        return (self.folder / "events").read_text().splitlines()

    def pids(self) -> list[int]:
        return [int(line.split()[2]) for line in self.events if line.startswith("start")]


@pytest.fixture
async def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


async def test_parts_start_by_need_and_stop_by_rank(yard: Yard):
    supervisor = yard.supervisor(
        yard.plan("edge", needs=("chain",), rank=1),
        yard.plan("chain", rank=2),
        yard.plan("miner", needs=("edge",), rank=0),
    )
    running = asyncio.create_task(supervisor.run())
    await yard.until("ALL READY")
    supervisor.stop()
    await running
    names = [" ".join(line.split()[:2]) for line in yard.events]
    assert names[:3] == ["start chain", "start edge", "start miner"]
    assert names[3:] == ["stop miner", "stop edge", "stop chain"]
    assert any(line.startswith("edge      ready       at edge") for line in yard.said)


async def test_a_crashed_part_is_started_again_with_a_word(yard: Yard):
    supervisor = yard.supervisor(yard.plan("edge", "crash-once"))
    running = asyncio.create_task(supervisor.run())
    await yard.until("ALL READY")
    supervisor.stop()
    await running
    assert any("ended with code 7; starting it again in 0.01 s" in line for line in yard.said)
    assert len(yard.pids()) == 2


async def test_a_killed_part_is_started_again(yard: Yard):
    supervisor = yard.supervisor(yard.plan("edge"))
    running = asyncio.create_task(supervisor.run())
    await yard.until("ALL READY")
    os.kill(yard.pids()[0], signal.SIGKILL)
    await yard.until("ready again")
    supervisor.stop()
    await running
    assert any("ended by signal 9" in line for line in yard.said)


async def test_a_part_that_keeps_crashing_ends_all(yard: Yard):
    supervisor = yard.supervisor(yard.plan("edge", "crash"), yard.plan("api"))
    with pytest.raises(PartsFailedError, match="edge ended with code 7"):
        await supervisor.run()
    assert len(yard.pids()) == 1 + 1 + QUICK.restart_limit
    assert not any(psutil.pid_exists(pid) for pid in yard.pids())


async def test_a_part_with_a_faulty_configuration_is_not_tried_again(yard: Yard):
    supervisor = yard.supervisor(yard.plan("edge", "faulty"))
    with pytest.raises(PartsFailedError, match="code 2"):
        await supervisor.run()
    assert len(yard.pids()) == 1


async def test_a_part_that_is_never_ready_is_ended(yard: Yard):
    settings = SupervisorSettings(ready_timeout_s=0.2, restart_limit=1, restart_first_s=0.01)
    supervisor = yard.supervisor(yard.plan("edge", "silent"), settings=settings)
    with pytest.raises(PartsFailedError, match="signal 9"):
        await supervisor.run()
    assert any("not ready in time" in line for line in yard.said)


async def test_a_part_that_does_not_stop_is_ended(yard: Yard):
    settings = SupervisorSettings(stop_timeout_s=0.2)
    supervisor = yard.supervisor(yard.plan("edge", "stubborn"), settings=settings)
    running = asyncio.create_task(supervisor.run())
    await yard.until("ALL READY")
    supervisor.stop()
    await running
    assert not psutil.pid_exists(yard.pids()[0])


async def test_stopping_twice_ends_everything_at_once(yard: Yard):
    settings = SupervisorSettings(stop_timeout_s=600)
    supervisor = yard.supervisor(yard.plan("edge", "stubborn"), settings=settings)
    running = asyncio.create_task(supervisor.run())
    await yard.until("ALL READY")
    supervisor.stop()
    supervisor.stop()
    await running
    assert supervisor.forced
    assert not psutil.pid_exists(yard.pids()[0])


def test_killing_the_supervisor_leaves_no_part_behind(tmp_path: Path):
    (tmp_path / "part.py").write_text(PART)
    driver = textwrap.dedent(
        f"""
        import asyncio, os, sys
        from millpond.ops.config.settings import SupervisorSettings
        from millpond.ops.supervisor import PartPlan, Supervisor
        from millpond.ops.system import SystemClock
        plans = [
            PartPlan(name, (sys.executable, {str(tmp_path / "part.py")!r}, name, {str(tmp_path)!r}, "good"))
            for name in ("a", "b", "c")
        ]
        asyncio.run(Supervisor(plans, SupervisorSettings(), clock=SystemClock(), say=lambda line: None,
            environ=os.environ, when_ready=lambda _: print("ready", flush=True)).run())
        """
    )
    with subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        lines = (tmp_path / "events").read_text().splitlines()
        children = [psutil.Process(int(line.split()[2])) for line in lines]
        assert len(children) == 3
        supervisor.kill()
        supervisor.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []

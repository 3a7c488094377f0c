"""What `millpond up` does before and around the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec

from millpond.ops.config import Config
from millpond.ops.heartbeat import write_atomically
from millpond.ops.plan import Ports, choose_ports, parts_for, plan_parts
from millpond.ops.process import exclusive, reachable_host
from millpond.ops.running import MARKER, Endpoints
from millpond.ops.supervisor import Say, Supervisor
from millpond.ops.system import SystemClock
from millpond.store.migrate import migrate


def bring_up(config: Config, *, config_path: Path | None, say: Say) -> None:
    """Run the pool until a signal stops it.

    Raises:
        DataDirInUseError: A pool already runs on the data directory.
        PartsFailedError: A part cannot be kept running.
    """
    config.data_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(config.data_path / "millpond.lock", "a pool"):
        asyncio.run(_bring_up(config, config_path, say))


async def _bring_up(config: Config, config_path: Path | None, say: Say) -> None:
    say(f"data      {config.data_path}")
    applied = await migrate(config.database_url)
    if applied:
        say(f"database  brought up to {applied[-1]}")
    ports = choose_ports(config, say)
    where = Endpoints(
        pid=os.getpid(),
        url=f"http://{reachable_host(config.http.host)}:{ports.http}/",
        stratum=[
            f"stratum+tcp://{reachable_host(config.stratum.host)}:{own[0]}" for own in ports.stratum
        ],
        devchain_port=ports.devchain,
        devevm_port=ports.devevm,
    )

    def announce(_state: str) -> None:
        say("")
        say(f"  pages   {where.url}")
        host = reachable_host(config.stratum.host)
        for pool, own in zip(config.the_pools, ports.stratum, strict=True):
            for port in own:
                say(f"  miners  stratum+tcp://{host}:{port}  ({pool.id}, {pool.coin})")
        say("")

    supervisor = Supervisor(
        plan_parts(parts_for(config), config_path),
        config.supervisor,
        clock=SystemClock(),
        say=say,
        environ={**os.environ, **_environment(config, ports)},
        when_ready=announce,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, supervisor, say)
    marker = config.run_path / MARKER
    marker.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(marker, msgspec.json.encode(where))
    try:
        await supervisor.run()
    finally:
        marker.unlink(missing_ok=True)
        say("all stopped")


def _environment(config: Config, ports: Ports) -> dict[str, str]:
    """What the parts must know that the configuration did not say."""
    found = ports.environment(config)
    found["MILLPOND__DATA_DIR"] = str(config.data_path)
    if config.log.to == "auto":
        found["MILLPOND__LOG__TO"] = "files"
    return found


def _on_signal(supervisor: Supervisor, say: Say) -> None:
    say("stopping; once more to end at once")
    supervisor.stop()

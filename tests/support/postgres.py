"""A real PostgreSQL server of one's own, started for a test session or a benchmark."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from millpond.store.migrate import migrate

_BIN = Path("/usr/lib/postgresql/15/bin")


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of its own, whether or not one runs here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass
class PostgresServer:
    """A PostgreSQL server of this test session."""

    port: int
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def sql(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def create(self, *, migrated: bool = True) -> str:
        """Make a database and return its URL."""
        name = f"t{next(self._numbers)}"
        template = "template_millpond" if migrated else "template1"
        await self.sql(f"create database {name} template {template}")
        return self.url(name)

    async def drop(self, url: str) -> None:
        await self.sql(f"drop database {url.rsplit('/', 1)[1]} with (force)")


def _run(*command: str) -> None:
    # PostgreSQL refuses to run as root, so its own user runs it then.
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    prefix = as_postgres if os.geteuid() == 0 else ()
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_NOT_DURABLE = " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@contextlib.contextmanager
def running_postgres(*, durable: bool) -> Iterator[PostgresServer]:
    """Start a server with a migrated template database; stop it and remove its data after.

    Args:
        durable: False does without fsync, for tests: none of them cuts its power.
    """
    directory = Path(tempfile.mkdtemp(prefix="millpond-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    data = directory / "data"
    _run(f"{_BIN}/initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
    server = PostgresServer(free_port())
    settings = (
        f"-c listen_addresses=127.0.0.1 -p {server.port} -k {directory} -c max_connections=200"
        " -c shared_buffers=64MB -c deadlock_timeout=200ms" + ("" if durable else _NOT_DURABLE)
    )
    log = str(directory / "log")
    _run(f"{_BIN}/pg_ctl", "-D", str(data), "-w", "-l", log, "-o", settings, "start")
    try:
        apart(server.sql("create database template_millpond"))
        apart(migrate(server.url("template_millpond")))
        yield server
    finally:
        _run(f"{_BIN}/pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(directory)

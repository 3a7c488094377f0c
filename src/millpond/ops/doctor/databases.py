"""Checks of the databases: reachable, up to date, durable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.ops.config import Config
from millpond.ops.doctor.findings import Finding, fault, ok, warning
from millpond.ops.hiding import hide_url_password
from millpond.store import Store, Tx
from millpond.store.engine import parse_url
from millpond.store.migrate import current, head

_SKEW_MS = 5_000


async def database(config: Config, clock: Clock) -> AsyncIterator[Finding]:
    """The database of ledger, intents and read models."""
    url = config.database_url
    async for finding in reachable("database", url, clock):
        yield finding
        if finding.level == "fault":
            return
    if _missing_file(url):
        return
    have, want = await current(url), await head()
    if have == want:
        yield ok("database", f"the schema is at {want}")
    else:
        yield fault("database", f"the schema is at {have}, not {want}", "run `millpond migrate`")


async def sharelog(config: Config, clock: Clock) -> AsyncIterator[Finding]:
    """The database of the share log."""
    async for finding in reachable("sharelog", config.sharelog_settings.url, clock):
        yield finding


async def reachable(subject: str, url: str, clock: Clock) -> AsyncIterator[Finding]:
    """A database answers, and keeps what it has acknowledged."""
    shown = hide_url_password(url)
    if _missing_file(url):
        yield warning(subject, f"{shown} does not exist yet", "run `millpond init`")
        return
    try:
        store = await Store.open(url, pool_size=1)
        try:
            async with store.read() as tx:
                before = clock.now_ms()
                if store.dialect == "sqlite":
                    yield await _sqlite(subject, tx)
                else:
                    async for finding in _postgresql(subject, tx, before):
                        yield finding
        finally:
            await store.close()
    except (SQLAlchemyError, MillpondError, OSError) as error:
        reason = hide_url_password(str(error).splitlines()[0])
        mend = "start the database, or mend its URL in the configuration"
        yield fault(subject, f"{shown} cannot be opened: {reason}", mend)


async def _sqlite(subject: str, tx: Tx) -> Finding:
    mode = (await tx.execute(text("pragma synchronous"))).scalar()
    journal = (await tx.execute(text("pragma journal_mode"))).scalar()
    if mode == 2 and journal == "wal":
        return ok(subject, "SQLite keeps what it acknowledges (WAL, synchronous=FULL)")
    mend = "report this: Millpond sets both when it opens a file"
    return fault(subject, f"SQLite runs with synchronous={mode}, {journal}", mend)


async def _postgresql(subject: str, tx: Tx, before_ms: int) -> AsyncIterator[Finding]:
    now = (await tx.execute(text("select extract(epoch from clock_timestamp())*1000"))).scalar()
    skew_ms = abs(int(now or 0) - before_ms)
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        value = (await tx.execute(text(f"show {name}"))).scalar()
        if value == "off":
            mend = f"set `{name} = on` in postgresql.conf and restart PostgreSQL"
            yield fault(subject, f"PostgreSQL runs with {name} = off and may lose commits", mend)
    version = (await tx.execute(text("show server_version"))).scalar()
    yield ok(subject, f"PostgreSQL {version} answers")
    if skew_ms > _SKEW_MS:
        mend = "let both machines set their clocks by NTP"
        yield warning("clock", f"PostgreSQL's clock is {skew_ms / 1000:.0f} s off ours", mend)


def _missing_file(url: str) -> bool:
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return False
    assert parsed.database is not None
    return not Path(parsed.database).exists()

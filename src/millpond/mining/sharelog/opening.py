"""Which database the log lives in: decided by `sharelog.url`, here and nowhere else."""

from __future__ import annotations

from millpond.mining.sharelog.backend import Backend
from millpond.mining.sharelog.postgres import PostgresBackend
from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.sharelog.sqlite import SqliteBackend
from millpond.store.engine import parse_url


def open_backend(pool_id: str, edge: str, settings: ShareLogSettings) -> Backend:
    """The backend that `sharelog.url` names; nothing is opened yet."""
    url = parse_url(settings.url)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        return SqliteBackend(url.database, pool_id, edge)
    return PostgresBackend(url, pool_id, edge, timeout_s=settings.commit_timeout_s)

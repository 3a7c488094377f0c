"""Structured logs: one event a line, with a correlation id and without secrets."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from millpond.ops.config.settings import LogSettings
from millpond.ops.hiding import HIDDEN, hide_url_password

_SECRET_KEY = re.compile(
    r"(password|passwd|secret|token|private|passphrase|authorization|api_?key|operator_key|cookie)",
    re.IGNORECASE,
)
_MAX_TEXT = 4_000
_FILE_BYTES = 10_000_000
_FILES_KEPT = 3


def set_up_logs(
    settings: LogSettings,
    part: str,
    *,
    log_dir: Path | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send structlog and the standard library's logging to one place in one form.

    Args:
        settings: Level, format and destination.
        part: Name of this process, written with every event.
        log_dir: Where the files go when the destination is `files`.
        stream: The other destination; standard error when not given.
    """
    target = sys.stderr if stream is None else stream
    as_json = settings.format == "json" or (settings.format == "auto" and not target.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_part(part),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    screen = logging.StreamHandler(target)
    screen.setFormatter(_formatter(shared, as_json=as_json, colors=target.isatty()))
    handlers: list[logging.Handler] = [screen]
    if settings.to == "files" and log_dir is not None:
        log_dir.mkdir(parents=True, exist_ok=True)
        file = _LogFile(log_dir / f"{part}.log", maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT)
        file.setFormatter(_formatter(shared, as_json=True, colors=False))
        screen.setLevel(logging.WARNING)
        handlers.append(file)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(level)
    # These tell of every request at `info`; the API has its own event for that.
    for noisy in ("uvicorn.access", "aiosqlite", "sqlalchemy.engine", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


# Local variables hold keys and passwords under any name: a traceback shows none.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


class _LogFile(logging.handlers.RotatingFileHandler):
    """A file that turns over; what a full disk does not take is left out silently."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's
        """The standard handler writes a stack trace to the screen for every line."""


def _formatter(shared: list[Any], *, as_json: bool, colors: bool) -> logging.Formatter:
    renderer: list[Any] = (
        [_TRACEBACKS, redact, structlog.processors.JSONRenderer()]
        if as_json
        else [
            redact,
            structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide whatever is named like a secret, and passwords inside URLs."""
    for key in list(event):
        event[key] = HIDDEN if _SECRET_KEY.search(key) and event[key] else _clean(event[key])
    return event


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return hide_url_password(value[:_MAX_TEXT])
    if isinstance(value, dict) and depth < 6:
        return {
            key: HIDDEN if _SECRET_KEY.search(str(key)) and item else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple) and depth < 6:
        return [_clean(item, depth + 1) for item in value]
    # Too deep to be looked through, so it is not shown.
    return HIDDEN if isinstance(value, dict | list | tuple) else value


def _with_part(part: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        event.setdefault("part", part)
        return event

    return add

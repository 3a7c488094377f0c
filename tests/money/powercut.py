"""A disk that loses what was not synced when the power goes, for SQLite.

The ledger's own SQL, as SQLAlchemy sends it to the driver, is recorded while
the real `Ledger` runs on a real `Store`; then the recording is played through
apsw on a file system layer (VFS) that writes to real files and notes every
operation: write, truncate, sync, delete. From those notes the disk is rebuilt
as it could be found if the power had gone right after any of them:

- what was written before the file's last sync is there;
- of what was written since, each 512-byte sector is there, is not there, or
  (the last write) is there in part, as a seeded coin decides; the first two
  coins of every cut are "none of it" and "all of it".

Playing once and rebuilding many times is the same as cutting each time, since
nothing that happens after a cut can change what was before it.

The layer has no shared memory, so the WAL index is in the heap
(`locking_mode=EXCLUSIVE`); it is not on the disk in any case.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy import event

from millpond.store import Store

SECTOR = 512


@dataclass
class Recording:
    """Statements in order; `commits` tells after which of them a commit was answered."""

    statements: list[tuple[str, list[Any]]] = field(default_factory=list)

    def listen(self, store: Store) -> None:
        """Record whatever `store` writes from now on."""
        engine = store._writer.sync_engine

        @event.listens_for(engine, "before_cursor_execute")
        def _statement(_conn, _cursor, statement, parameters, _context, many) -> None:
            self.statements.append((statement, list(parameters) if many else [parameters]))

        @event.listens_for(engine, "commit")
        def _commit(_conn) -> None:
            self.statements.append(("COMMIT", [()]))


@dataclass(frozen=True)
class Operation:
    """One thing that was done to a file; `acknowledged` counts commits answered before it."""

    name: str
    kind: str
    offset: int
    data: bytes
    acknowledged: int


class NotingFile(apsw.VFSFile):
    """A real file whose changes are noted."""

    def __init__(self, vfs: NotingVfs, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.noted = Path(str(name.filename() if hasattr(name, "filename") else name)).name
        self.vfs = vfs

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - the name that apsw calls
        super().xWrite(data, offset)
        self.vfs.note(self.noted, "write", offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - the name that apsw calls
        super().xTruncate(size)
        self.vfs.note(self.noted, "truncate", size)

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name that apsw calls
        super().xSync(flags)
        self.vfs.note(self.noted, "sync")


class NotingVfs(apsw.VFS):
    """A file system layer that notes every change."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.acknowledged = 0
        self.name = f"noting-{id(self)}"
        super().__init__(self.name, "")

    def note(self, name: str, kind: str, offset: int = 0, data: bytes = b"") -> None:
        self.operations.append(Operation(name, kind, offset, data, self.acknowledged))

    def xOpen(self, name: Any, flags: list[int]) -> NotingFile:  # noqa: N802 - the name that apsw calls
        return NotingFile(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 - the name that apsw calls
        super().xDelete(name, syncdir)
        self.note(Path(name).name, "delete")


def play(recording: Recording, database: Path, *, synchronous: str) -> NotingVfs:
    """Play the recorded statements on the file; returns what was done to the disk."""
    vfs = NotingVfs()
    connection = apsw.Connection(str(database), vfs=vfs.name)
    for setting in (
        "locking_mode = EXCLUSIVE",
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        "foreign_keys = ON",
        "wal_autocheckpoint = 40",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    for statement, sets in recording.statements:
        for parameters in sets:
            connection.execute(statement, tuple(parameters)).fetchall()
        if statement == "COMMIT":
            vfs.acknowledged += 1
    # The power goes with the connection open: what closing would write never happens.
    operations = list(vfs.operations)
    connection.close()
    vfs.operations = operations
    return vfs


def cuts(
    vfs: NotingVfs, initial: bytes, name: str, coins: int
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Every disk that could be found: commits acknowledged by then, and files by name."""
    durable: dict[str, bytes] = {name: initial}
    loose: dict[str, list[Operation]] = {}
    for number, operation in enumerate(vfs.operations):
        if operation.kind == "sync":
            done = loose.pop(operation.name, [])
            durable[operation.name] = _applied(durable.get(operation.name, b""), done)
        elif operation.kind == "delete":
            durable.pop(operation.name, None)
            loose.pop(operation.name, None)
        else:
            loose.setdefault(operation.name, []).append(operation)
        last = number + 1 == len(vfs.operations)
        acknowledged = vfs.acknowledged if last else vfs.operations[number + 1].acknowledged
        for coin in range(coins if any(loose.values()) else 1):
            rng = random.Random(number * 1000 + coin)
            files = dict(durable)
            for file, pending in loose.items():
                kept = [part for each in pending for part in _survivors(each, coin, rng)]
                files[file] = _applied(durable.get(file, b""), kept)
            yield acknowledged, files


def _survivors(operation: Operation, coin: int, rng: random.Random) -> list[Operation]:
    if coin == 0:
        return []
    if coin == 1:
        return [operation]
    if operation.kind != "write":
        return [operation] if rng.random() < 0.5 else []
    parts = []
    for start in range(0, len(operation.data), SECTOR):
        data = operation.data[start : start + SECTOR]
        if rng.random() < 0.5:
            cut = rng.randrange(1, len(data) + 1) if rng.random() < 0.1 else len(data)
            at = operation.offset + start
            parts.append(Operation(operation.name, "write", at, data[:cut], 0))
    return parts


def _applied(content: bytes, operations: list[Operation]) -> bytes:
    if not operations:
        return content
    image = bytearray(content)
    for operation in operations:
        if operation.kind == "truncate":
            del image[operation.offset :]
            continue
        end = operation.offset + len(operation.data)
        if len(image) < end:
            image.extend(bytes(end - len(image)))
        image[operation.offset : end] = operation.data
    return bytes(image)

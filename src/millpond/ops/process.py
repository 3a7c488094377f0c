"""Processes that belong together: locks, orphans, ports."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from millpond.errors import ConflictError, UnavailableError

PARENT_PID = "MILLPOND_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_PORTS_TRIED = 100
_NEW_OBJECTS = 50_000
_MOST_FILES = 1 << 20
_UNIX_PATH_MAX = 107


class DataDirInUseError(ConflictError):
    """Another process works on the same data directory."""

    code = "data_dir_in_use"


def allow_open_files() -> int:
    """Use all the file descriptors that the machine allows; returns how many those are.

    Every miner is one. Login shells and service managers often start processes
    with 1,024, although many more are allowed to who asks.
    """
    import resource  # noqa: PLC0415 - not on every platform

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def collect_less_often() -> None:
    """Let the garbage collector look less often, and never at what stays for good.

    Nearly all that dies here has no cycle and goes without the collector. By the
    interpreter's own numbers it looks 300 times while an epoch of 10,000 stakers is
    closed, a tenth of the time that this takes, and finds nothing. To be called when
    everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to end this process the moment its parent is gone.

    `SIGKILL`, not a gentle signal: the next supervisor may start at once, and
    two edges must never write one share log. A part may die at any point
    without loss, so nothing is gained by asking politely.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise UnavailableError(f"prctl failed with errno {ctypes.get_errno()}")
    # The parent may have died before the kernel was asked.
    if os.getppid() != parent_pid:
        os._exit(1)


@contextlib.contextmanager
def exclusive(path: Path, holder: str) -> Iterator[None]:
    """Hold a lock file for as long as the process lives.

    Raises:
        DataDirInUseError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            other = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
            raise DataDirInUseError(
                f"{holder} already runs on {path.parent} (process {other or 'unknown'})"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """True if some process holds the lock file at `path`."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def port_is_free(host: str, port: int) -> bool:
    """True if one could listen on `host`:`port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def next_free_port(host: str, wanted: int, taken: set[int] | None = None) -> int:
    """The first free port from `wanted` upwards; any free port for 0.

    Raises:
        UnavailableError: None of the next hundred is free.
    """
    taken = taken or set()
    if wanted == 0:
        return any_free_port(host)
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)):
        if port not in taken and port_is_free(host, port):
            return port
    raise UnavailableError(
        f"no port from {wanted} to {wanted + _PORTS_TRIED - 1} is free on {host}"
    )


def any_free_port(host: str) -> int:
    """A port that the kernel says is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def poke_address(run_path: Path, pool_id: str) -> str:
    """Where a pool's edge listens for `millpond notify-block`; empty if the path is too long."""
    path = run_path / f"news-{pool_id}.sock"
    return f"unix:{path}" if len(os.fsencode(path)) <= _UNIX_PATH_MAX else ""


def miners_socket(run_path: Path) -> Path | None:
    """Where the edge listens for `millpond miners`; None if the path is too long."""
    path = run_path / "miners.sock"
    return path if len(os.fsencode(path)) <= _UNIX_PATH_MAX else None


def reachable_host(host: str) -> str:
    """Where to connect to what listens on `host` of this machine."""
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound

"""Checks of the machine: directory, disk, permissions, ports."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from millpond.ops.config import Config
from millpond.ops.doctor.findings import Finding, fault, ok, warning
from millpond.ops.process import is_held, port_is_free

_LOW_BYTES = 2_000_000_000
_EMPTY_BYTES = 200_000_000
_MIN_FILES = 4_096


def data_directory(config: Config) -> Iterator[Finding]:
    """The data directory can be written and is nobody else's business."""
    path = config.data_path
    if not path.exists():
        yield warning("data", f"{path} does not exist yet", "run `millpond init`")
        return
    if not os.access(path, os.W_OK | os.X_OK):
        mend = f"run as the owner of {path}, or `chown` it to the user that runs the pool"
        yield fault("data", f"{path} cannot be written", mend)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        mend = f"chmod 700 {path}"
        yield warning("data", f"{path} is open to other users (mode {mode:o})", mend)
    else:
        yield ok("data", f"{path} is ours alone")


def disk(config: Config) -> Iterator[Finding]:
    """There is room to write."""
    free = shutil.disk_usage(_existing(config.data_path)).free
    size = f"{free / 1e9:.1f} GB free"
    mend = "free some space, or set data_dir to a larger disk"
    if free < _EMPTY_BYTES:
        yield fault("disk", f"only {size}", mend)
    elif free < _LOW_BYTES:
        yield warning("disk", f"only {size}", mend)
    else:
        yield ok("disk", size)


def secrets(config: Config, config_path: Path | None) -> Iterator[Finding]:
    """Files with passwords in them are readable by their owner only."""
    if config_path is None:
        return
    mode = stat.S_IMODE(config_path.stat().st_mode)
    has_secret = any(daemon.password for daemon in config.daemons) or "@" in config.database.url
    if has_secret and mode & 0o077:
        yield warning(
            "secrets",
            f"{config_path} holds a password and other users may read it (mode {mode:o})",
            f"chmod 600 {config_path}",
        )
    else:
        yield ok("secrets", f"{config_path} gives nothing away")


def ports(config: Config) -> Iterator[Finding]:
    """The ports are free, or taken by this very pool."""
    if is_held(config.data_path / "millpond.lock"):
        yield ok("ports", "the pool is running on this data directory")
        return
    wanted = [("http.port", config.http.host, config.http.port)]
    wanted += [
        (f"pools[{index}].ports" if pool.ports else "stratum.ports", one.host, one.port)
        for index, pool in enumerate(config.the_pools)
        for one in config.listeners(index)
    ]
    for name, host, port in wanted:
        if port == 0 or port_is_free(host, port):
            yield ok("ports", f"{name} {port} is free")
        else:
            mend = f"stop what listens there, or set {name}; `millpond up` takes the next free one"
            yield warning("ports", f"{name} {port} is taken on {host}", mend)


def open_files() -> Iterator[Finding]:
    """Enough file descriptors for the miners' connections."""
    import resource  # noqa: PLC0415 - not on every platform

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _MIN_FILES:
        mend = f"raise it: `ulimit -n {_MIN_FILES}`, or LimitNOFILE= in the service file"
        yield warning("limits", f"only {most} open files are allowed, one a miner", mend)
    else:
        yield ok("limits", f"{most} open files are allowed")


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())

"""Where a running pool is found."""

from __future__ import annotations

import os

import msgspec

from millpond.ops.config import Config

MARKER = "up.json"


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running pool is found; `<data_dir>/run/up.json` holds it."""

    pid: int
    url: str
    stratum: list[str]
    devchain_port: int = 0
    devevm_port: int = 0


def as_running(config: Config) -> Config:
    """The configuration with the ports that a pool running on its data directory has found.

    The embedded chains may have given way to others' ports; who speaks to them by
    hand must find them all the same.
    """
    try:
        where = msgspec.json.decode((config.run_path / MARKER).read_bytes(), type=Endpoints)
        os.kill(where.pid, 0)
    except (OSError, msgspec.DecodeError):
        return config
    devchain = msgspec.structs.replace(
        config.devchain, port=where.devchain_port or config.devchain.port
    )
    devevm = msgspec.structs.replace(config.devevm, port=where.devevm_port or config.devevm.port)
    return msgspec.structs.replace(config, devchain=devchain, devevm=devevm)

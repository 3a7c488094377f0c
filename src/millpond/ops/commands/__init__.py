"""One module a group of commands; each adds its own to the command line.

The heads of these modules import nothing heavy: see `millpond.cli`.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from millpond.ops.commands import (
    audit,
    config,
    database,
    deploy,
    doctor,
    init,
    keys,
    mine,
    miners,
    notify,
    parts,
    payout,
    safe,
    staking,
    tasks,
    up,
    verify,
)

REGISTER: tuple[Callable[[typer.Typer], None], ...] = (
    up.register,
    parts.register,
    init.register,
    doctor.register,
    database.register,
    payout.register,
    deploy.register,
    staking.register,
    tasks.register,
    verify.register,
    keys.register,
    safe.register,
    audit.register,
    config.register,
    mine.register,
    miners.register,
    notify.register,
)

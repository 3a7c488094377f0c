"""Stratum V1: miners' sockets, the dialect, sessions, vardiff.

Reads lines, lets `work` decide about shares and `sharelog` keep them, and
answers after the commit. Knows nothing of daemons, databases or money: jobs
come in through `StratumServer.broadcast`, blocks go out through a callback.
Promises: every line gets a typed answer or ends the connection; nothing a
miner sends grows memory without bound; a share is credited once, with the
difficulty that its job was sent with.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.mining.stratum.jobs import JobBoard, JobEntry
    from millpond.mining.stratum.server import StratumServer
    from millpond.mining.stratum.settings import ListenerSettings, StratumLimits, VardiffSettings
else:
    __getattr__ = lazily(
        __name__,
        {
            "jobs": ("JobBoard", "JobEntry"),
            "server": ("StratumServer",),
            "settings": ("ListenerSettings", "StratumLimits", "VardiffSettings"),
        },
    )

__all__ = [
    "JobBoard",
    "JobEntry",
    "ListenerSettings",
    "StratumLimits",
    "StratumServer",
    "VardiffSettings",
]

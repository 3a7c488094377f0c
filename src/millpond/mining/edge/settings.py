"""Settings of an edge."""

from __future__ import annotations

import msgspec

from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.stratum.settings import ListenerSettings, StratumLimits, VardiffSettings


class EdgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one edge of one pool does.

    Attributes:
        pool_id: The pool that it works for.
        edge: Its name; no two edges of a pool share one.
        extranonce_prefix: First byte of its extranonces; give every edge its own.
        tag: The pool's mark in its blocks, at most 40 bytes of ASCII.
        refresh_s: A new job at least this often, for new transactions and time.
        template_max_age_s: Without a fresh template for so long, jobs are withdrawn.
        retry_s: Pause after a daemon gave no template.
        listeners: Ports.
        vardiff: Difficulties.
        limits: What a connection may do.
        sharelog: The share log.
    """

    pool_id: str
    edge: str = "edge-1"
    extranonce_prefix: int = 0
    tag: str = "/Millpond/"
    refresh_s: float = 30.0
    template_max_age_s: float = 300.0
    retry_s: float = 1.0
    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(),)
    vardiff: VardiffSettings = VardiffSettings()
    limits: StratumLimits = StratumLimits()
    sharelog: ShareLogSettings = ShareLogSettings()

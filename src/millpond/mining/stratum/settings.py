"""Settings of the Stratum server."""

from __future__ import annotations

import msgspec


class VardiffSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard shares are made.

    Attributes:
        start: Difficulty of a miner that is not known yet.
        minimum: Never easier than this (but never harder than the network).
        maximum: Never harder than this.
        target_s: Time that should pass between two shares of a connection.
        powers_of_two: Use only difficulties that are powers of two.
    """

    start: float = 1024.0
    minimum: float = 0.001
    maximum: float = 4_000_000_000.0
    target_s: float = 10.0
    powers_of_two: bool = False


class StratumLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a connection may do.

    Attributes:
        max_connections: Connections in all.
        max_per_address: Connections from one address.
        max_line: Longest line, bytes.
        max_write_buffer: A miner that leaves more unread is disconnected, bytes.
        max_pending: Shares of a connection that may wait for the log before it
            is read no further.
        max_workers: Names that one connection may authorize.
        login_s: Time to subscribe and authorize.
        idle_s: A connection that sends nothing for as long is closed.
        max_malformed: Lines that are no requests until the connection is closed.
        max_talk: Lines that are no good share (empty ones too) between two looks of
            the housekeeping, two seconds or more; one more closes the connection.
        max_shares_per_s: A difficulty that is fixed, by port or password, is raised all
            the same when a connection makes more good shares a second; 0 for never.
        invalid_window: Shares after which the part of invalid ones is looked at.
        invalid_percent: Part of invalid shares that gets an address banned.
        ban_s: How long it stays so.
    """

    max_connections: int = 20_000
    max_per_address: int = 2_000
    max_line: int = 4_096
    max_write_buffer: int = 256 * 1024
    max_pending: int = 2_000
    max_workers: int = 64
    login_s: float = 30.0
    idle_s: float = 900.0
    max_malformed: int = 8
    max_talk: int = 1_000
    max_shares_per_s: float = 10.0
    invalid_window: int = 100
    invalid_percent: int = 60
    ban_s: float = 300.0


class ListenerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One port.

    Attributes:
        host: Address to listen on.
        port: Port; 0 for any free one.
        start_difficulty: Of a new miner on this port; 0 for `vardiff.start`.
        fixed_difficulty: The same for all its miners, for ever; 0 for vardiff.
    """

    host: str = "127.0.0.1"
    port: int = 3333
    start_difficulty: float = 0.0
    fixed_difficulty: float = 0.0

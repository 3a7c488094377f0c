"""What the API asks of the pools: reads as answers, and the few writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from millpond.api.models import (
    Balance,
    Block,
    Miner,
    Payout,
    PayoutSettings,
    Performance,
    Pool,
    Proof,
    Receipt,
    Reject,
    Worker,
)
from millpond.api.pagination import Page
from millpond.mining.payouts.model import FeePolicy, Schedule
from millpond.store import Tx


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether one thing works, and what is known about it."""

    ok: bool
    detail: str = ""


Check = Callable[[], Awaitable[CheckResult]]


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What an address wants changed; None leaves a value as it is.

    Attributes:
        threshold_units: Balance in base units at which to pay by itself.
        automatic: Whether to pay by itself.
        schedule: How often to pay by itself at most.
        fee_policy: Who pays the network.
        address: Where to pay to.
    """

    threshold_units: int | None = None
    automatic: bool | None = None
    schedule: Schedule | None = None
    fee_policy: FeePolicy | None = None
    address: str | None = None


class Reads(Protocol):
    """Read models of all pools. Every list is bounded by `limit`."""

    async def pools(self, tx: Tx) -> list[Pool]:
        """Every configured pool."""

    async def blocks(
        self, tx: Tx, *, pool_id: str | None, limit: int, cursor: str | None
    ) -> Page[Block]:
        """Blocks, newest first."""

    async def block(self, tx: Tx, block_hash: str) -> Block | None:
        """One block."""

    async def miners(self, tx: Tx, *, pool_id: str, limit: int, cursor: str | None) -> Page[Miner]:
        """Addresses by work of the last 24 hours, most first."""

    async def miner(self, tx: Tx, wallet: str) -> list[Miner]:
        """One address in each pool where it ever mined or is owed something."""

    async def workers(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Worker]:
        """Workers, of one address or all."""

    async def latest_workers(self, tx: Tx, *, limit: int) -> list[Worker]:
        """The workers that sent a share last, of each pool; the fastest first."""

    async def workers_named(self, tx: Tx, names: Collection[str]) -> list[Worker]:
        """Those of the named workers that exist."""

    async def performance(
        self, tx: Tx, *, pool_id: str, wallet: str | None, worker: str | None, window: str
    ) -> Performance:
        """A series for a pool, an address or a worker."""

    async def rejects(self, tx: Tx, *, pool_id: str, wallet: str | None) -> list[Reject]:
        """Refused shares of the last 24 hours by reason, most first."""

    async def balances(self, tx: Tx, wallet: str) -> list[Balance]:
        """What an address is owed in each coin."""

    async def payouts(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Payout]:
        """Payouts, newest first."""

    async def payout_settings(self, tx: Tx, wallet: str) -> list[PayoutSettings]:
        """How an address is paid, in each pool."""

    async def receipts(
        self, *, pool_id: str, wallet: str, limit: int, cursor: str | None
    ) -> Page[Receipt]:
        """Groups of the share log with this address's shares, newest first."""

    async def proof(self, tx: Tx, *, wallet: str | None, block: Block) -> Proof | None:
        """How a block's reward was split; with the receipts of an address if one is named."""


class PayoutReads(Protocol):
    """Queries about payouts."""

    async def under_way(self, tx: Tx, pool_id: str) -> int:
        """Payouts of a pool that have neither settled nor failed."""

    async def payouts(
        self, tx: Tx, *, pool_id: str | None, wallet: str | None, limit: int, cursor: str | None
    ) -> Page[Payout]:
        """Payouts, newest first."""

    async def payout_settings(self, tx: Tx, wallet: str) -> list[PayoutSettings]:
        """How an address is paid, in each pool."""


class Writes(Protocol):
    """The changes that the API may make."""

    async def request_payout(
        self, tx: Tx, *, pool_id: str, wallet: str, amount_units: int | None
    ) -> Payout:
        """Ask for a payout of a balance, or of a part of it."""

    async def change_settings(
        self, tx: Tx, *, pool_id: str, wallet: str, change: SettingsChange
    ) -> PayoutSettings:
        """Change how an address is paid."""

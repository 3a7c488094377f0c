"""What is known of prices, read from the database: for pages, and inside transactions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from millpond.clock import Clock
from millpond.oracle import rows
from millpond.oracle.decide import Policy, seen_at, standing_in
from millpond.oracle.model import (
    Price,
    PriceDegradedError,
    PriceUnavailableError,
    UnknownPairError,
)
from millpond.store import Tx


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """A price with all that a page says about it.

    Attributes:
        asset: Code of the asset.
        quote: What it is priced in.
        price: What may be used now; None if nothing may.
        last: The last confirmed price however old it is; None if there never was one.
        problem: Why the last round confirmed none; empty if it did.
        failing_ms: Since when no round confirmed one; None if the last did.
        read_ms: When the last round was; None before the first.
        sources: How each source is doing.
    """

    asset: str
    quote: str
    price: Price | None
    last: Price | None
    problem: str
    failing_ms: int | None
    read_ms: int | None
    sources: list[rows.SourceState]


class Prices:
    """Reads what `Oracle` wrote down; asks no source.

    Args:
        clock: For the age of prices.
        policies: Of everything that is priced.
    """

    def __init__(self, clock: Clock, policies: Iterable[Policy]) -> None:
        self._clock = clock
        self._policies = {(policy.asset, policy.quote): policy for policy in policies}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Asset and quote of everything that is priced."""
        return list(self._policies)

    def policy(self, asset: str, quote: str = "USD") -> Policy:
        """What makes a price.

        Raises:
            UnknownPairError: It is not priced.
        """
        policy = self._policies.get((asset, quote))
        if policy is None:
            raise UnknownPairError(f"nobody says what {asset} costs in {quote}")
        return policy

    async def current(
        self, tx: Tx, asset: str, quote: str = "USD", *, degraded: bool = True
    ) -> Price:
        """What an asset cost when it was last confirmed, as old as it is now.

        Args:
            tx: The transaction of what the price decides about.
            asset: Code of the asset.
            quote: What it is priced in.
            degraded: Whether a degraded price will do.

        Raises:
            UnknownPairError: It is not priced.
            PriceUnavailableError: There is no price that may decide anything now.
            PriceDegradedError: There is one, but degraded.
        """
        policy = self.policy(asset, quote)
        last = await rows.latest(tx, asset, quote)
        state = await rows.pair_state(tx, asset, quote)
        return usable(self._now(last, state, policy), policy, degraded=degraded)

    async def view(self, tx: Tx, asset: str, quote: str = "USD") -> PriceView:
        """All that a page says about a price.

        Raises:
            UnknownPairError: It is not priced.
        """
        policy = self.policy(asset, quote)
        last = await rows.latest(tx, asset, quote)
        state = await rows.pair_state(tx, asset, quote)
        return PriceView(
            asset=asset,
            quote=quote,
            price=self._now(last, state, policy),
            last=last,
            problem="" if state is None else state.problem or "",
            failing_ms=None if state is None else state.failing_ms,
            read_ms=None if state is None else state.read_ms,
            sources=await rows.sources(tx, asset, quote),
        )

    def _now(
        self, last: Price | None, state: rows.PairState | None, policy: Policy
    ) -> Price | None:
        now_ms = self._clock.now_ms()
        if last is None:
            return None
        if state is not None and state.problem is not None:
            return standing_in(last, state.problem, policy, now_ms)
        return seen_at(last, policy, now_ms)


def usable(price: Price | None, policy: Policy, *, degraded: bool) -> Price:
    """The price if there is one of the quality asked for.

    Raises:
        PriceUnavailableError: There is none.
        PriceDegradedError: There is one, but degraded.
    """
    pair = f"{policy.asset}/{policy.quote}"
    if price is None:
        raise PriceUnavailableError(f"there is no price of {pair} now")
    if price.degraded and not degraded:
        raise PriceDegradedError(
            f"the price of {pair} is degraded: {price.reason}", age_ms=price.age_ms
        )
    return price

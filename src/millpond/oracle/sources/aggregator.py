"""A feed on a chain that speaks Chainlink's AggregatorV3Interface.

What counts as an answer follows the feed's documentation: `latestRoundData`
with `updatedAt` against the feed's own heartbeat, the sequencer's uptime feed
on a layer 2 with a grace period after it came back, and the bounds of the
aggregator behind the proxy (`minAnswer`, `maxAnswer`), at which an answer is
held although the market is beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from millpond.clock import Clock
from millpond.errors import MillpondError
from millpond.oracle.fixed import MAX_DECIMALS, scaled
from millpond.oracle.model import Problem, Reading, ReadingError

# The first four bytes of the keccak of each signature.
LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
DECIMALS = bytes.fromhex("313ce567")
DESCRIPTION = bytes.fromhex("7284e416")
AGGREGATOR = bytes.fromhex("245a7bfc")
MIN_ANSWER = bytes.fromhex("22adbc78")
MAX_ANSWER = bytes.fromhex("70da2f67")

_ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")
_REVERTED = "evm_reverted"
_MAX_ANSWER_BYTES = 4_096


class Caller(Protocol):
    """What is asked of a chain."""

    async def call(self, to: str, data: bytes, block: Any, /) -> bytes:
        """What the contract at `to` returns for `data` as of `block`.

        Raises:
            MillpondError: With code `evm_reverted` if the call reverts; with
                another if the chain cannot be asked.
        """


@dataclass(frozen=True, slots=True)
class Round:
    """What `latestRoundData` returns, in its order; times in Unix seconds."""

    round_id: int
    answer: int
    started_s: int
    updated_s: int
    answered_in_round: int


@dataclass(frozen=True, slots=True)
class AggregatorTerms:
    """What is known of a feed beforehand.

    Attributes:
        address: Of the proxy, or of the aggregator itself.
        heartbeat_s: Longest silence of the feed, from its documentation.
        decimals: How many it must have; None for what it says.
        description: What `description()` must return; empty for anything.
        min_answer: At or below this raw answer the feed is clamped; None to ask the feed.
        max_answer: At or above this raw answer the feed is clamped; None to ask the feed.
        sequencer: Address of the sequencer's uptime feed; empty on a layer 1.
        grace_s: How long after the sequencer came back prices still do not count.
    """

    address: str
    heartbeat_s: int
    decimals: int | None = None
    description: str = ""
    min_answer: int | None = None
    max_answer: int | None = None
    sequencer: str = ""
    grace_s: int = 3600


class AggregatorSource:
    """Reads one feed.

    Args:
        name: Of the source.
        caller: The chain.
        terms: What is known of the feed.
        clock: For the sequencer's grace period.
        block: As of which block to read.
    """

    def __init__(
        self,
        name: str,
        caller: Caller,
        terms: AggregatorTerms,
        clock: Clock,
        *,
        block: Any = "latest",
    ) -> None:
        self.name = name
        self._caller = caller
        self._terms = terms
        self._clock = clock
        self._block = block

    async def read(self) -> Reading:
        """The latest answer of the feed.

        Raises:
            ReadingError: It does not count, by the rules above.
            MillpondError: The chain cannot be asked.
        """
        terms = self._terms
        if terms.sequencer:
            round_ = await self._round(terms.sequencer)
            check_sequencer(round_, grace_s=terms.grace_s, now_ms=self._clock.now_ms())
        await self._check_description()
        decimals = await self._decimals()
        round_ = await self._round(terms.address)
        check_round(round_)
        check_clamps(round_.answer, *await self._clamps())
        return Reading(
            self.name,
            scaled(round_.answer, decimals),
            round_.updated_s * 1000,
            terms.heartbeat_s * 1000,
            decimals=decimals,
            details={"round_id": str(round_.round_id), "answer": str(round_.answer)},
        )

    async def _decimals(self) -> int:
        (decimals,) = await self._ask(self._terms.address, DECIMALS, "uint256")
        wanted = self._terms.decimals
        if decimals > MAX_DECIMALS or (wanted is not None and decimals != wanted):
            raise ReadingError(
                Problem.WRONG_DECIMALS, "the feed does not have the decimals it should have",
                decimals=str(decimals),
            )  # fmt: skip
        return int(decimals)

    async def _check_description(self) -> None:
        if not self._terms.description:
            return
        (found,) = await self._ask(self._terms.address, DESCRIPTION, "string")
        if found != self._terms.description:
            raise ReadingError(Problem.WRONG_FEED, f"the feed says that it is {found[:80]!r}")

    async def _round(self, address: str) -> Round:
        return Round(*await self._ask(address, LATEST_ROUND_DATA, *_ROUND))

    async def _clamps(self) -> tuple[int | None, int | None]:
        """Least and highest raw answer that the feed can give; None where it has none."""
        least, most = self._terms.min_answer, self._terms.max_answer
        if least is not None and most is not None:
            return least, most
        behind = await self._ask_optional(self._terms.address, AGGREGATOR, "address")
        address = self._terms.address if behind is None else str(behind)
        if least is None:
            least = await self._ask_optional(address, MIN_ANSWER, "int192")
        if most is None:
            most = await self._ask_optional(address, MAX_ANSWER, "int192")
        return least, most

    async def _ask_optional(self, address: str, selector: bytes, kind: str) -> Any:
        """What a function returns; None if the contract has no such function."""
        try:
            data = await self._caller.call(address, selector, self._block)
        except MillpondError as error:
            # Only the contract's own no means that there is no such function:
            # a node that is away must not make the bounds disappear.
            if error.code != _REVERTED:
                raise
            return None
        return _decoded(data, kind)[0] if data else None

    async def _ask(self, address: str, selector: bytes, *kinds: str) -> tuple[Any, ...]:
        try:
            data = await self._caller.call(address, selector, self._block)
        except MillpondError as error:
            if error.code != _REVERTED:
                raise
            raise ReadingError(
                Problem.MALFORMED, "the feed reverts", reason=error.message
            ) from error
        return _decoded(data, *kinds)


def check_round(round_: Round) -> None:
    """Hold a round against the rules of the interface, but for its age; pure.

    `startedAt` is not looked at: several feeds that keep the interface leave
    it at zero.

    Raises:
        ReadingError: The round does not count.
    """
    figures = {"round_id": str(round_.round_id), "answer": str(round_.answer)}
    if round_.round_id == 0 or round_.updated_s == 0:
        raise ReadingError(Problem.INCOMPLETE_ROUND, "the round is not complete", **figures)
    if round_.answered_in_round < round_.round_id:
        message = "the answer was carried over from an earlier round"
        raise ReadingError(Problem.CARRIED_OVER, message, **figures)
    if round_.answer <= 0:
        raise ReadingError(Problem.NOT_POSITIVE, "the answer is not above zero", **figures)


def check_clamps(answer: int, least: int | None, most: int | None) -> None:
    """Refuse an answer at the bounds of its aggregator; pure.

    There the true price may be anything beyond.

    Raises:
        ReadingError: The answer is at a bound.
    """
    if (least is not None and answer <= least) or (most is not None and answer >= most):
        raise ReadingError(
            Problem.CLAMPED,
            "the answer is at the bound of its aggregator",
            answer=str(answer),
            min_answer=None if least is None else str(least),
            max_answer=None if most is None else str(most),
        )


def check_sequencer(round_: Round, *, grace_s: int, now_ms: int) -> None:
    """Hold a layer 2's uptime feed against its rules; pure.

    Its answer is 0 while the sequencer is up and 1 while it is down;
    `startedAt` is when that began, zero before the feed's first round.

    Raises:
        ReadingError: It is down, came back too short a time ago, or nobody knows.
    """
    if round_.started_s == 0 or round_.answer not in {0, 1}:
        raise ReadingError(
            Problem.SEQUENCER_DOWN, "the sequencer's feed does not say that it is up"
        )
    if round_.answer == 1:
        raise ReadingError(
            Problem.SEQUENCER_DOWN, "the sequencer is down", since_s=str(round_.started_s)
        )
    if now_ms - round_.started_s * 1000 <= grace_s * 1000:
        raise ReadingError(
            Problem.SEQUENCER_GRACE,
            "the sequencer came back only now",
            since_s=str(round_.started_s),
        )


def _decoded(data: bytes, *kinds: str) -> tuple[Any, ...]:
    if not data or len(data) > _MAX_ANSWER_BYTES:
        raise ReadingError(Problem.MALFORMED, "there is no feed at this address")
    try:
        return decode(kinds, data)
    except (DecodingError, UnicodeDecodeError) as error:
        raise ReadingError(Problem.MALFORMED, "the feed's answer cannot be read") from error

"""Several daemons of one coin behind one face: health, failover, submission to all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from millpond.chains.bitcoin.errors import (
    RpcError,
    RpcMethodNotFoundError,
    RpcProtocolError,
    RpcRejectedError,
    RpcTimeoutError,
    RpcUnavailableError,
)
from millpond.chains.bitcoin.health import DaemonHealth, HealthSettings, Tip
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import Coin
from millpond.chains.pause import pause
from millpond.clock import Clock

_SUBMIT_TRIES = 3
_MAX_HEIGHT = 0x7FFFFFFF
_HASH = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class SubmitVerdict(StrEnum):
    """What one daemon says of a block."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    INCONCLUSIVE = "inconclusive"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class SubmitResult(msgspec.Struct, frozen=True):
    """One daemon's verdict on a block.

    Attributes:
        endpoint: Name of the daemon.
        verdict: `DUPLICATE` is a block that it has accepted before;
            `INCONCLUSIVE` one that is valid so far but not in its best chain.
        reason: The daemon's own words.
    """

    endpoint: str
    verdict: SubmitVerdict
    reason: str = ""

    @property
    def beside(self) -> bool:
        """The daemon holds the block, but not in its best chain."""
        return self.verdict is SubmitVerdict.INCONCLUSIVE

    @property
    def accepted(self) -> bool | None:
        """True, False, or None when the daemon's word settles nothing."""
        if self.verdict in {SubmitVerdict.ACCEPTED, SubmitVerdict.DUPLICATE}:
            return True
        return False if self.verdict is SubmitVerdict.REJECTED else None


class DaemonSet:
    """The daemons of one coin, the preferred first.

    Reads go to one daemon and move on to the next when it fails; blocks go to
    all. `run` watches them; without it health is learned from calls alone.
    """

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        coin: Coin,
        clock: Clock,
        settings: HealthSettings | None = None,
    ) -> None:
        assert endpoints, "a coin has at least one daemon"
        self.coin = coin
        self.endpoints = tuple(endpoints)
        self._clock = clock
        self._settings = settings or HealthSettings()
        self._health = [DaemonHealth(e.name, clock, self._settings) for e in self.endpoints]
        self._current = 0

    async def close(self) -> None:
        """Close every daemon's connections."""
        for endpoint in self.endpoints:
            await endpoint.close()

    def health(self) -> list[DaemonHealth]:
        """What is known of each daemon, in the order of preference."""
        return list(self._health)

    async def call(self, method: str, *params: object, timeout_s: float | None = None) -> Any:
        """Ask the daemons in turn until one answers; for reads only.

        Raises:
            RpcRejectedError: The first daemon that answered says no.
            RpcUnavailableError: None answered.
        """
        return await self._first(self._order(), method, params, timeout_s)

    async def get_block_template(self, longpoll_id: str | None = None) -> dict[str, Any]:
        """A template from a daemon that is up with the chain.

        Args:
            longpoll_id: From an earlier template: answers when that is out of date.

        Raises:
            RpcUnavailableError: No daemon is fit to be worked for.
            RpcRejectedError: The daemon says no.
        """
        if longpoll_id is not None:
            try:
                return await self._template(
                    {"longpollid": longpoll_id}, self._settings.longpoll_timeout_s
                )
            except RpcTimeoutError:
                pass  # a quiet chain has no news; that is no failing of the daemon
        return await self._template({}, None)

    async def _template(self, more: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
        order = [i for i in self._order() if not self._health[i].lagging]
        if not order:
            raise RpcUnavailableError("no daemon is fit to give templates", **self._reasons())
        request = {"rules": list(self.coin.template_rules)} | more
        template = await self._first(
            order, "getblocktemplate", (request,), timeout_s, self._check_template
        )
        assert isinstance(template, dict), "the check lets only objects pass"
        return template

    async def submit_block(self, block_hex: str) -> list[SubmitResult]:
        """Give a block to every daemon at once and collect what each says.

        Repeating is harmless: a daemon that has the block says `duplicate`.
        """
        return list(await asyncio.gather(*(self._submit(e, block_hex) for e in self.endpoints)))

    async def tip(self) -> Tip:
        """The best block that the current daemon knows."""
        info = await self.call("getblockchaininfo")
        return _tip(info)

    async def get_block_hash(self, height: int) -> str:
        """Hash of the block at `height` of the best chain."""
        answer: str = await self.call("getblockhash", height)
        return answer

    async def get_block_header(self, block_hash: str) -> dict[str, Any]:
        """A header; `confirmations` is -1 when it is not in the best chain."""
        answer: dict[str, Any] = await self.call("getblockheader", block_hash)
        return answer

    async def check(self) -> None:
        """Ask every daemon how it is, once."""
        await asyncio.gather(*(self._check_one(i) for i in range(len(self.endpoints))))
        self._compare()
        self._choose()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch the daemons until `stop` is set."""
        while not stop.is_set():
            await self.check()
            await pause(self._clock, self._settings.interval_s, stop)

    def _order(self) -> list[int]:
        """The current daemon first, then the others by preference; broken circuits last."""
        others = [i for i in range(len(self.endpoints)) if i != self._current]
        order = [self._current, *others]
        closed = [i for i in order if not self._health[i].circuit_open]
        # With every circuit open there is nothing to lose by one try.
        return closed or order[:1]

    def _reasons(self) -> dict[str, str]:
        return {health.name: health.reason for health in self._health}

    async def _first(
        self,
        order: Sequence[int],
        method: str,
        params: Sequence[object],
        timeout_s: float | None,
        check: Callable[[int, Any], None] | None = None,
    ) -> Any:
        errors: list[str] = []
        for index in order:
            endpoint, health = self.endpoints[index], self._health[index]
            try:
                answer = await endpoint.call(method, *params, timeout_s=timeout_s)
                if check is not None:
                    check(index, answer)
            except RpcRejectedError as error:
                if not isinstance(error, RpcMethodNotFoundError) or index == order[-1]:
                    raise
                errors.append(error.message)
            except RpcError as error:
                if check is not None and isinstance(error, RpcTimeoutError) and timeout_s:
                    raise  # a long poll, see `get_block_template`
                health.failed(error.message)
                errors.append(error.message)
            else:
                health.answered()
                return answer
        self._choose()
        raise RpcUnavailableError(f"no daemon answers {method}: " + "; ".join(errors))

    def _check_template(self, index: int, answer: Any) -> None:
        if not isinstance(answer, dict) or not isinstance(answer.get("height"), int):
            raise RpcProtocolError(f"{self.endpoints[index].name} gives no template")
        best = max((h.tip.height for h in self._health if h.tip is not None), default=0)
        if answer["height"] + self._settings.max_lag_blocks <= best:
            raise RpcProtocolError(
                f"{self.endpoints[index].name} gives a template for height {answer['height']} "
                f"while the chain is at {best}"
            )

    async def _submit(self, endpoint: RpcEndpoint, block_hex: str) -> SubmitResult:
        reason = ""
        for attempt in range(_SUBMIT_TRIES):
            if attempt:
                await self._clock.sleep(self._settings.submit_retry_s * attempt)
            try:
                answer = await endpoint.call(
                    "submitblock", block_hex, timeout_s=self._settings.submit_timeout_s
                )
            except RpcRejectedError as error:
                return SubmitResult(endpoint.name, SubmitVerdict.REJECTED, error.message)
            except RpcError as error:
                reason = error.message
            else:
                return SubmitResult(endpoint.name, *submit_verdict(answer))
        return SubmitResult(endpoint.name, SubmitVerdict.UNKNOWN, reason)

    async def _check_one(self, index: int) -> None:
        endpoint, health = self.endpoints[index], self._health[index]
        if health.circuit_open:
            return
        started = self._clock.monotonic_ns()
        try:
            info = await endpoint.call("getblockchaininfo", timeout_s=self._settings.timeout_s)
            tip = _tip(info)
        except RpcError as error:
            health.failed(error.message)
        else:
            health.checked(tip, self._clock.monotonic_ns() - started)

    def _compare(self) -> None:
        tips = [h.tip for h in self._health if h.tip is not None and not h.circuit_open]
        best = max(tips, key=lambda tip: (not tip.initial_download, tip.work), default=None)
        for health in self._health:
            health.compare(best)

    def _choose(self) -> None:
        """Stay with the current daemon while it is fit, else take the first that is."""
        healthy = [i for i, h in enumerate(self._health) if h.healthy and not h.lagging]
        if not healthy:
            return
        current = self._health[self._current]
        if self._current not in healthy or healthy[0] < self._current:
            # `healthy` comes back only after several good checks in a row, so
            # that the preferred daemon is not taken up again while it flaps.
            self._current = healthy[0]
            assert self._health[self._current] is not current, "a change is a change"


def submit_verdict(answer: object) -> tuple[SubmitVerdict, str]:
    """Read the result of `submitblock` (BIP 22)."""
    if answer is None:
        return SubmitVerdict.ACCEPTED, ""
    if not isinstance(answer, str):
        return SubmitVerdict.UNKNOWN, "the answer is neither null nor a reason"
    if answer == "duplicate":
        return SubmitVerdict.DUPLICATE, answer
    if answer in {"inconclusive", "duplicate-inconclusive"}:
        return SubmitVerdict.INCONCLUSIVE, answer
    return SubmitVerdict.REJECTED, answer[:200]


def _tip(info: Any) -> Tip:
    match info:
        case {
            "blocks": int(height),
            "bestblockhash": str(block_hash),
            "chainwork": str(work),
            "initialblockdownload": initial_download,
        } if 0 <= height <= _MAX_HEIGHT and _HASH.fullmatch(work) and _HASH.fullmatch(block_hash):
            return Tip(
                height=height,
                block_hash=block_hash,
                work=int(work, 16),
                initial_download=initial_download is True,
            )
    raise RpcProtocolError("getblockchaininfo is not what it should be")

"""Faults that a devchain's server commits on request, for tests and drills."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

_MAX_RULES = 100


class FaultMode(StrEnum):
    """What goes wrong with a call.

    `DROP_BEFORE`: the connection breaks and nothing was done. `DROP_AFTER`:
    it was done, and the answer is lost. `DELAY`: done, answered `delay_s`
    later. `DELAY_BEFORE`: done only after `delay_s`. `HANG`: never answered.
    `ERROR`: refused with `rpc_code` and `message`. `ANSWER`: nothing is done,
    `result` is answered: a lie. `ACT_AND_LIE`: done, `result` is answered.
    `GARBAGE`: done, and the answer is no JSON. `HTTP_503`: refused as overload.
    """

    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DELAY = "delay"
    DELAY_BEFORE = "delay_before"
    HANG = "hang"
    ERROR = "error"
    ANSWER = "answer"
    ACT_AND_LIE = "act_and_lie"
    GARBAGE = "garbage"
    HTTP_503 = "http_503"


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    Attributes:
        method: RPC method, or `*` for every one but `dev_*`.
        mode: What goes wrong.
        count: For how many calls; None: until cleared.
        skip: Calls that go well before.
        delay_s: For the delays.
        rpc_code: For `ERROR`.
        message: For `ERROR`.
        result: For the lies.
    """

    method: str
    mode: FaultMode
    count: int | None = 1
    skip: int = 0
    delay_s: float = 1.0
    rpc_code: int = -28
    message: str = "Loading block index..."
    result: Any = None


class Faults:
    """The rules in force, the oldest first."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        assert len(self._rules) < _MAX_RULES, "a drill has a handful of faults"
        self._rules.append(fault)

    def clear(self) -> None:
        """Be well again."""
        self._rules.clear()

    def take(self, method: str) -> Fault | None:
        """The fault for this call, if there is one; counts it."""
        if method.startswith("dev_"):
            return None
        for rule in self._rules:
            if rule.method not in {method, "*"}:
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.count is not None:
                rule.count -= 1
                if rule.count <= 0:
                    self._rules.remove(rule)
            return rule
        return None

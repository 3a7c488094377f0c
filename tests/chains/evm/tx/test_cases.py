"""The published table of cases, on real nodes: see docs/evm-transactions.md.

Every case runs on SQLite and anvil. Those in which a database or a node has
rules of its own run on PostgreSQL and hardhat too, with
`MILLPOND_CAMPAIGN=long` all of them do; a few run on the embedded chain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.chains.evm.tx import cases_fees, cases_nonces, cases_sending
from tests.chains.evm.tx.conftest import EMBEDDED, GROUNDS
from tests.chains.evm.tx.scene import Scene

Case: TypeAlias = Callable[[Scene], Coroutine[Any, Any, None]]

GROUPS: dict[str, Sequence[Any]] = {
    "Sending and confirming": cases_sending.CASES,
    "Nonces": cases_nonces.CASES,
    "Fees, replacements, reorganisations, gas": cases_fees.CASES,
}
CASES: list[Any] = [case for group in GROUPS.values() for case in group]
SECOND_OPINION = {
    "plain",
    "one_after_the_other",
    "foreign_after_signing",
    "reserved_and_ended",
    "reserved_and_overtaken",
    "abandoned_sent",
    "hole",
    "no_tip",
    "several_replacements",
    "base_fee_jumps",
    "reorganised_to_another_attempt",
    "reverted",
}
ON_THE_EMBEDDED_CHAIN = {"plain", "stuck", "abandoned_sent", "reorganised", "reverted"}
LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
PAIRS = [
    pytest.param(ground, case, id=f"{case.__name__}-{ground}")
    for ground in GROUNDS
    for case in CASES
    if LONG or ground == GROUNDS[0] or case.__name__ in SECOND_OPINION
] + [
    pytest.param(EMBEDDED, case, id=f"{case.__name__}-{EMBEDDED}")
    for case in CASES
    if case.__name__ in ON_THE_EMBEDDED_CHAIN
]
PAGE = Path(__file__).parents[4] / "docs" / "evm-transactions.md"


@pytest.mark.parametrize(("ground", "case"), PAIRS, indirect=["ground"])
async def test_case(scene: Scene, case: Case):
    await case(scene)


def rows() -> list[str]:
    """The table as it has to stand on the page."""
    lines = []
    for title, cases in GROUPS.items():
        lines += [f"### {title}", "", "| case | what happens |", "|---|---|"]
        lines += [f"| `{case.__name__}` | {_words(case)} |" for case in cases]
        lines.append("")
    return lines


def test_the_page_lists_exactly_the_cases_that_are_tested():
    assert "\n".join(rows()) in PAGE.read_text()


def _words(case: Any) -> str:
    return re.sub(r"\s+", " ", (case.__doc__ or "").strip())

"""docs/contracts.md tells of every reason, event and size."""

from __future__ import annotations

import json
import re

import pytest
from tools import contracts

PAGE = (contracts.ROOT / "docs" / "contracts.md").read_text()
_REASON = re.compile(r'assert\b(?:[^"\n]|\n(?!\n))*?, "([a-z ]+)"')
_NAMED = re.compile(r"`([a-z ]+)`")


def test_every_reason_is_explained_and_exists() -> None:
    table = PAGE.split("## Reasons")[1].split("## Gas")[0]
    sources = [file.read_text() for file in contracts.SOURCES.rglob("*.vy")]
    used = {reason for text in sources for reason in _REASON.findall(text)}
    assert used == set(_NAMED.findall(table))


@pytest.mark.parametrize("name", contracts.names())
def test_sizes_and_events_are_told(name: str) -> None:
    artifact = json.loads((contracts.ARTIFACTS / f"{name}.json").read_text())
    size = len(artifact["deployed_bytecode"]) // 2 - 1 + artifact["immutables_size"]
    assert re.search(rf"`{name}` \|.*\| {size:,} \|", PAGE)
    shared = {"Paused", "Unpaused", "OwnershipOffered", "OwnershipTaken"}
    shared |= {"OperatorChanged", "GuardianChanged"}
    for entry in artifact["abi"]:
        if entry["type"] == "event" and entry["name"] not in shared:
            assert f"`{entry['name']}" in PAGE

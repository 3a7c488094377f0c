"""Forge's invariants and the ERC-4626 properties on the artifacts; `make invariants` is the long run."""

from __future__ import annotations

import json

from tools import forge


def test_the_invariants_and_properties_hold_in_forge() -> None:
    done = forge.run(forge.prepare(), ["--json"], seconds=280)
    assert forge.failures(done) == {}
    assert done.returncode == 0
    assert sum(len(suite["test_results"]) for suite in json.loads(done.stdout).values()) >= 50

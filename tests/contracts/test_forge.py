"""Forge's invariants and the ERC-4626 properties, on the same artifacts; `make invariants` runs them at length."""

from __future__ import annotations

import json

from tools import forge


def test_the_invariants_hold_in_forge() -> None:
    workspace = forge.prepare()
    done = forge.test(workspace, ["--json"], seconds=280)
    results = {
        f"{suite.rpartition(':')[2]}.{name}": (result["status"], result["reason"])
        for suite, results in json.loads(done.stdout).items()
        for name, result in results["test_results"].items()
    }
    assert {name: told for name, told in results.items() if told[0] != "Success"} == {}
    assert done.returncode == 0
    assert len(results) >= 50

"""A handful of planted bugs is caught; `make mutants` plants them all (docs/contract-mutants.md)."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tools import contracts, mutants, mutations
from tools.mutations import Mutant

HANDFUL = {
    "pool pays a batch twice": "test_staking_pool",
    "a claim pays the whole again": "test_reward_distributor",
    "minting leaves the supply": "test_btcd",
    "a stale price is told": "test_oracle_adapter",
}


def test_a_handful_of_planted_bugs_is_caught() -> None:
    chosen = [word for name in HANDFUL for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, str(mutants.ROOT / "tools" / "mutants.py"), *chosen],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"caught {len(HANDFUL)} of {len(HANDFUL)} (100.0 %)" in done.stdout
    for name, test in HANDFUL.items():
        (line,) = [line for line in done.stdout.splitlines() if f" {name} [" in line]
        assert f"[{test}.py::" in line


def test_every_place_for_a_bug_is_there_and_changes_its_file() -> None:
    sources = mutations.sources(contracts.SOURCES)
    planted = [*mutations.named(sources), *mutations.systematic(sources)]
    assert {mutant.file for mutant in planted} == set(sources) == set(mutants.FIRST)
    assert len({mutants.key(mutant) for mutant in mutations.named(sources)}) >= 100
    for mutant in planted:
        assert mutant.apply(sources[mutant.file]) != sources[mutant.file]


def test_a_smaller_sample_is_the_beginning_of_a_larger_one() -> None:
    everything = list(mutations.systematic(mutations.sources(contracts.SOURCES)))
    assert mutations.sample(everything, 30)[:10] == mutations.sample(everything, 10)


def _outcome(caught: int, survived: int) -> list[tuple[Mutant, str, str]]:
    mutant = next(iter(mutations.named(mutations.sources(contracts.SOURCES))))
    return [(mutant, mutants.CAUGHT, "test_vault.py::test")] * caught + [
        (mutant, mutants.SURVIVED, "")
    ] * survived


@pytest.mark.parametrize(("survived", "code"), [(0, 0), (5, 0), (6, 1), (100, 1)])
def test_too_many_survivors_fail(
    survived: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mutants.summary(_outcome(100 - survived, survived)) == code
    assert f"caught {100 - survived} of 100" in capsys.readouterr().out


def test_bugs_that_change_no_code_are_not_counted() -> None:
    mutant = _outcome(1, 0)[0][0]
    outcome = [*_outcome(3, 1), (mutant, mutants.SAME, ""), (mutant, mutants.BROKEN, "why")]
    assert mutants.rate(outcome) == (3, 4)


def test_the_page_tells_the_rungs_and_explains_survivors(monkeypatch: pytest.MonkeyPatch) -> None:
    ((mutant, _, _),) = _outcome(1, 0)
    monkeypatch.setattr(mutations, "HARMLESS", {mutant.name: "because"})
    outcome = [
        (mutant, mutants.CAUGHT, "test_machines.py::TestVaultMachine::runTest"),
        (mutant, mutants.CAUGHT, "forge VaultInvariants.invariant_the_books_hold()"),
        (mutant, mutants.SURVIVED, ""),
    ]
    page = mutants.page(outcome)
    assert "3 bugs, one at a time: **2 caught, 66.7 %**" in page
    assert "(1 by state machine, 1 by forge)" in page
    assert f"| StakingPool.vy:{mutant.line} | {mutant.name} | because |" in page

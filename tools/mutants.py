"""Plants bugs in the contracts and sees which the tests catch: `python tools/mutants.py`.

Every bug of `tools/mutations.py` is planted in a scratch copy of the sources, one at a
time; then the tests run against what that compiles to, likeliest first, until one fails:
py-evm, the state machines, forge. Prints a line a bug and the kill rate; the exit code
is 1 below 95 %.

    --sample N     how many of the systematic bugs; 0 for all (150)
    --only TEXT    only bugs whose name or file contains this; may be repeated
    --resume       keep what an earlier run caught (.cache/mutants/results.json)
    --report       plant nothing; tell what the last runs found, as far as they came
    --write        make docs/contract-mutants.md from the results
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402 - found by the lines before
import tests.conftest  # noqa: E402
import tests.contracts.artifacts  # noqa: E402
import tests.contracts.chain  # noqa: E402 - loaded once, every fork has it
import tests.contracts.worlds  # noqa: E402
from tools import contracts, forge, mutations  # noqa: E402
from tools.mutations import Mutant  # noqa: E402
from vyper.exceptions import VyperException  # noqa: E402

WORK = ROOT / ".cache" / "mutants"
RESULTS = WORK / "results.json"
PAGE = ROOT / "docs" / "contract-mutants.md"
TESTS = Path("tests") / "contracts"
RATE = 0.95
SAMPLE = 150
# Seconds of processor time for one bug; one that makes the tests run on is caught by that.
LIMIT = 240

CAUGHT, SURVIVED, SAME, BROKEN = "caught", "survived", "same code", "does not compile"
# What a change of a source is likeliest to break.
FIRST = {
    "BTCD.vy": ("BTCD", "test_btcd"),
    "BatchPayout.vy": ("BatchPayout", "test_batch_payout"),
    "OracleAdapter.vy": ("OracleAdapter", "test_oracle_adapter"),
    "PoolConfig.vy": ("PoolConfig", "test_pool_config"),
    "RewardDistributor.vy": ("RewardDistributor", "test_reward_distributor"),
    "RiskEngine.vy": ("RiskEngine", "test_risk_engine"),
    "StakingPool.vy": ("StakingPool", "test_staking_pool"),
    "Vault.vy": ("Vault", "test_vault"),
    "modules/erc20.vy": ("BTCD", "test_btcd"),
    "modules/roles.vy": ("StakingPool", "test_staking_pool"),
    "modules/tokens.vy": ("StakingPool", "test_staking_pool"),
}
# Without the plugins that these tests have no use for, which take a second to load.
PYTEST = ["-x", "-q", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"]
PYTEST += ["-o", "timeout=0", "-p", "no:cacheprovider"]
# They look at the sources or would run this; the last ones are slow.
LEFT_OUT = {"test_artifacts", "test_docs", "test_forge", "test_mutants", "test_safe"}
LAST = ["test_gas", "test_machines"]


class _Watch:
    """Remembers the first test that failed."""

    def __init__(self) -> None:
        self.failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest for each stage of each test."""
        if report.failed and not self.failed:
            self.failed = report.nodeid.replace("tests/contracts/", "")


class _Compiler:
    """Compiles what a test asks for, from the scratch copy, only where the bug reaches."""

    def __init__(self, mutant: Mutant, scratch: Path) -> None:
        self.module = Path(mutant.file).stem if "/" in mutant.file else None
        self.own = Path(mutant.file).stem
        self.scratch = scratch
        self.made: dict[str, dict[str, Any]] = {}
        self.shipped = tests.contracts.artifacts.artifact

    def reached(self, name: str) -> bool:
        """Whether the bug is in this contract."""
        if self.module is None:
            return name == self.own
        source = self.scratch / f"{name}.vy"
        return source.exists() and f"from modules import {self.module}\n" in source.read_text()

    def artifact(self, name: str) -> dict[str, Any]:
        """In place of `tests.contracts.artifacts.artifact`."""
        if not self.reached(name):
            return self.shipped(name)
        if name not in self.made:
            self.made[name] = contracts.compile_source(self.scratch / f"{name}.vy")
        return self.made[name]

    def same(self, name: str) -> bool:
        """Whether the bug changed nothing in the code of this contract."""
        if not self.reached(name):
            return True
        made, shipped = self.artifact(name), self.shipped(name)
        return bool(made["bytecode"] == shipped["bytecode"])


def judge(mutant: Mutant, scratch: Path) -> tuple[str, str]:
    """What became of a bug, and the test that found it; runs in a process of its own."""
    shutil.copytree(contracts.SOURCES, scratch, dirs_exist_ok=True)
    target = scratch / mutant.file
    target.write_text(mutant.apply(target.read_text()))
    compiler = _Compiler(mutant, scratch)
    contracts.SOURCES = scratch
    primary, likely = FIRST[mutant.file]
    try:
        names = [primary, *(name for name in contracts.names() if name != primary)]
        if all(compiler.same(name) for name in names):
            return SAME, ""
    except VyperException as error:
        return BROKEN, str(error).split("\n", 1)[0]
    setattr(tests.contracts.chain, "artifact", compiler.artifact)  # noqa: B010 - where it is used
    found = _py_evm(compiler, likely)
    return (CAUGHT, found) if found else _forge(compiler, scratch)


def _py_evm(compiler: _Compiler, likely: str) -> str:
    """The first test on py-evm that fails; those of contracts that are as ever are left out."""
    own = {test: name for name, test in FIRST.values()}
    related = {"test_vault", "test_risk_engine"}
    files = [file.stem for file in sorted((ROOT / TESTS).glob("test_*.py"))]
    middle = [
        name
        for name in files
        if name not in {likely, *LEFT_OUT, *LAST}
        and (name not in own or compiler.reached(own[name]) or {name, likely} == related)
    ]
    for group in ([likely], middle, LAST):
        order = [str(TESTS / f"{name}.py") for name in group]
        watch = _Watch()
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main([*PYTEST, *order], plugins=[watch])
        if watch.failed:
            return watch.failed
    return ""


def _forge(compiler: _Compiler, scratch: Path) -> tuple[str, str]:
    artifacts = scratch.parent / "artifacts"
    artifacts.mkdir()
    for name in contracts.names():
        (artifacts / f"{name}.json").write_text(json.dumps(compiler.artifact(name)))
    workspace = forge.prepare(WORK / "forge", artifacts)
    failed = forge.failures(forge.run(workspace, ["--json"], long=False, seconds=forge.MAX_SECONDS))
    return (CAUGHT, f"forge {min(failed)}") if failed else (SURVIVED, "")


def run_one(mutant: Mutant) -> tuple[str, str]:
    """Judge a bug in a fork, which starts with everything loaded and leaves nothing behind."""
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "answer.json"
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            # Processor time: how busy the machine is must not decide what counts as caught.
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 60))
            try:
                answer.write_text(json.dumps(judge(mutant, Path(directory) / "src")))
            finally:  # whatever happens, the fork does not go on as its parent
                os._exit(0)
        try:
            _, status = os.waitpid(child, 0)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            raise
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            return CAUGHT, "time limit"
        if not answer.exists():
            raise RuntimeError(f"the process that tried {mutant.name!r} died")
        status_text, by = json.loads(answer.read_text())
        return status_text, by


def key(mutant: Mutant) -> str:
    """A bug's name in the results."""
    return f"{mutant.file}:{mutant.line} {mutant.name} | {mutant.before} | {mutant.after}"


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """The bugs to plant."""
    texts = mutations.sources(contracts.SOURCES)
    systematic = list(mutations.systematic(texts))
    if options.sample:
        systematic = mutations.sample(systematic, options.sample)
    mutants = [*mutations.named(texts), *systematic]
    if options.only:
        mutants = [m for m in mutants if any(text in f"{m.file} {m.name}" for text in options.only)]
    return mutants


def main(arguments: list[str]) -> int:
    """Plant them all; the exit code tells whether enough were caught."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--only", action="append")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("OddToken", "Caller"):  # compiled once, for every fork
        tests.contracts.artifacts.artifact(name)
    WORK.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[str]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    mutants = chosen(options)
    if options.report:
        mutants = [mutant for mutant in mutants if key(mutant) in results]
    for number, mutant in enumerate(mutants, 1):
        name = key(mutant)
        kept = options.report or (options.resume and results.get(name, [SURVIVED])[0] != SURVIVED)
        if not kept:
            results[name] = list(run_one(mutant))
            RESULTS.write_text(json.dumps(results, indent=1))
            status, by = results[name]
            place = f"{mutant.file}:{mutant.line}"
            line = f"{number}/{len(mutants)} {status:9} {place} {mutant.name} [{by}]"
            print(line, flush=True)
    outcome = [(mutant, results[key(mutant)][0], results[key(mutant)][1]) for mutant in mutants]
    if options.write:
        PAGE.write_text(page(outcome))
    return summary(outcome)


def rate(outcome: list[tuple[Mutant, str, str]]) -> tuple[int, int]:
    """How many were caught of how many that changed the code."""
    counts = Counter(status for _, status, _ in outcome)
    return counts[CAUGHT], counts[CAUGHT] + counts[SURVIVED]


def summary(outcome: list[tuple[Mutant, str, str]]) -> int:
    """Print the kill rate and the survivors."""
    caught, planted = rate(outcome)
    for mutant, status, by in outcome:
        if status in {SURVIVED, BROKEN}:
            print(f"{status}: {mutant.file}:{mutant.line} {mutant.name} {by}")
            print(f"    {mutant.before!r} -> {mutant.after!r}")
    percent = 100 * caught / planted if planted else 0.0
    print(f"caught {caught} of {planted} ({percent:.1f} %)")
    return 0 if planted and caught >= RATE * planted else 1


def rung(by: str) -> str:
    """Which part of the tests caught it."""
    if by.startswith("forge "):
        return "forge"
    return "state machine" if by.startswith("test_machines") else "py-evm test"


def page(outcome: list[tuple[Mutant, str, str]]) -> str:
    """The page of results."""
    caught, planted = rate(outcome)
    rungs = Counter(rung(by) for _, status, by in outcome if status == CAUGHT)
    counted = [mutant for mutant, status, _ in outcome if status in {CAUGHT, SURVIVED}]
    by_hand = sum(mutant.name in mutations.NAMED for mutant in counted)
    same = sum(status == SAME for _, status, _ in outcome)
    lines = [
        "# Bugs planted in the contracts",
        "",
        "<!-- Made by `python tools/mutants.py --write`; do not edit. -->",
        "",
        f"{planted} bugs, one at a time: **{caught} caught, {100 * caught / planted:.1f} %**",
        f"({', '.join(f'{count} by {name}' for name, count in rungs.most_common())}).",
        f"{by_hand} of them are by hand (there are {len(mutations.NAMED)}), {planted - by_hand} by operators;",
        "what the last run of `make mutants` did not come to is not in the table.",
        f"{same} more changed nothing in the compiled code and are not counted. The tests run in",
        "this order and stop at the first that fails, so a bug caught by an early one is not",
        "shown to the others. How it is done: [contracts.md](contracts.md), *Tests*.",
        "",
    ]
    survivors = [mutant for mutant, status, _ in outcome if status == SURVIVED]
    if survivors:
        lines += ["## Not caught", "", "| where | bug | why |", "|---|---|---|"]
        lines += [f"| {_where(m)} | {_cell(m)} | {mutations.why(m)} |" for m in survivors]
        lines.append("")
    lines += ["## Caught", "", "| where | bug | by |", "|---|---|---|"]
    lines += [
        f"| {_where(mutant)} | {_cell(mutant)} | `{by.replace('|', '/')}` |"
        for mutant, status, by in outcome
        if status == CAUGHT
    ]
    return "\n".join(lines) + "\n"


def _where(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.line}"


def _cell(mutant: Mutant) -> str:
    operator, colon, line = mutant.name.partition(": ")
    text = f"{operator}: `{line}`" if colon and mutant.name not in mutations.NAMED else mutant.name
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

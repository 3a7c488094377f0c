"""Runs forge's invariants on the Vyper contracts: `python tools/forge.py [--long] [arguments]`.

Forge and solc come from npm (`contracts/package.json`). The project in
`contracts/forge` is copied to a workspace and the contracts' artifacts are put
beside it as `code/<Name>.json`, from where the Solidity side deploys them.
Further arguments go to `forge test` (`--match-contract Vault`, `-vvv`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools import contracts  # noqa: E402 - found by the line before

PROJECT = ROOT / "contracts" / "forge"
NODE_MODULES = ROOT / "contracts" / "node_modules"
FORGE = NODE_MODULES / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"
WORKSPACE = ROOT / ".cache" / "forge"
# Contracts of `contracts/test` that the Solidity side deploys.
TEST_CONTRACTS = ("OddToken",)
# Of each property and each invariant; the short form is what foundry.toml says.
LONG = {
    "FOUNDRY_FUZZ_RUNS": "5000",
    "FOUNDRY_INVARIANT_RUNS": "150",
    "FOUNDRY_INVARIANT_DEPTH": "200",
}
MAX_SECONDS = 3600


def prepare(workspace: Path = WORKSPACE, artifacts: Path | None = None) -> Path:
    """Bring a workspace up to date; what did not change is not compiled again.

    `artifacts` is a directory whose files stand before the shipped ones.
    """
    code = workspace / "code"
    code.mkdir(parents=True, exist_ok=True)
    for path in PROJECT.rglob("*"):
        if path.is_file() and path.suffix in {".sol", ".toml", ".cjs"}:
            _copy(path, workspace / path.relative_to(PROJECT))
    for file in contracts.ARTIFACTS.glob("*.json"):
        changed = artifacts / file.name if artifacts else file
        _copy(changed if changed.exists() else file, code / file.name)
    for name in TEST_CONTRACTS:
        source = contracts.TEST_SOURCES / f"{name}.vy"
        target = code / f"{name}.json"
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            target.write_text(json.dumps(contracts.compile_source(source)))
    return workspace


def _copy(source: Path, target: Path) -> None:
    """Copy a file unless the target says the same: forge compiles by content, make by time."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(
    workspace: Path, arguments: list[str], *, long: bool = False, seconds: float = MAX_SECONDS
) -> subprocess.CompletedProcess[str]:
    """`forge test` in a prepared workspace; standard output is text, or JSON with `--json`."""
    # Or an old failure would be tried again, on other code, before anything else.
    for kept in ("fuzz", "invariant"):
        shutil.rmtree(workspace / "cache" / kept, ignore_errors=True)
    environment = {
        **os.environ,
        "NODE_PATH": str(NODE_MODULES),
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        **(LONG if long else {}),
    }
    command = [str(FORGE), "test", *arguments]
    return subprocess.run(  # noqa: S603 - forge itself, with our arguments
        command,
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def failures(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The tests of a run with `--json` that failed, and why."""
    return {
        f"{suite.rpartition(':')[2]}.{name}": str(result["reason"])
        for suite, results in json.loads(done.stdout).items()
        for name, result in results["test_results"].items()
        if result["status"] != "Success"
    }


def main(arguments: list[str]) -> int:
    """Run everything, or what the arguments choose; the exit code is forge's."""
    long = "--long" in arguments
    done = run(prepare(), [argument for argument in arguments if argument != "--long"], long=long)
    print(done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

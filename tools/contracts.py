"""Compiles the contracts, and holds the committed artifacts against the sources.

`python tools/contracts.py` (or `--check`) fails when an artifact in
`src/millpond/chains/evm/artifacts/` is not what its source compiles to;
`--write` makes them anew. Needs vyper, which the product itself does not:
the product reads the artifacts.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vyper.compiler import compile_from_file_input
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.settings import OptimizationLevel, Settings
from vyper.version import version as vyper_version

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "contracts" / "src"
TEST_SOURCES = ROOT / "contracts" / "test"
ARTIFACTS = ROOT / "src" / "millpond" / "chains" / "evm" / "artifacts"

# What py-evm, anvil and hardhat all take; it gives the reentrancy lock transient
# storage (EIP-1153).
EVM_VERSION = "cancun"
# EIP-170.
CODE_LIMIT = 24_576

_OUTPUTS = ("abi", "bytecode", "bytecode_runtime", "layout", "solc_json")


def names() -> list[str]:
    """The contracts that are shipped; modules and interfaces are parts of them."""
    return sorted(path.stem for path in SOURCES.glob("*.vy"))


def compile_source(path: Path) -> dict[str, Any]:
    """Compile one contract.

    `immutables` tells where each immutable value stands: `offset` bytes after the end of
    `deployed_bytecode`, since Vyper appends them to the code; the code on chain is
    `immutables_size` bytes longer. `source_sha256` covers the contract and all it imports.
    """
    bundle = FilesystemInputBundle([path.parent, SOURCES])
    made = compile_from_file_input(
        bundle.load_file(Path(path.name)),
        input_bundle=bundle,
        settings=Settings(evm_version=EVM_VERSION, optimize=OptimizationLevel.GAS),
        output_formats=_OUTPUTS,
    )
    immutables = dict(_immutables(made["layout"].get("code_layout", {})))
    return {
        "name": path.stem,
        "compiler": f"vyper {vyper_version}",
        "evm_version": EVM_VERSION,
        "source_sha256": _digest(made["solc_json"]["sources"]),
        "abi": made["abi"],
        "immutables": immutables,
        "immutables_size": sum(slot["length"] for slot in immutables.values()),
        "bytecode": made["bytecode"],
        "deployed_bytecode": made["bytecode_runtime"],
    }


def _immutables(layout: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in layout.items():
        if "offset" in entry:
            yield prefix + name, entry
        else:
            yield from _immutables(entry, f"{prefix}{name}.")


def _digest(sources: dict[str, dict[str, str]]) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources, key=lambda text: Path(text).name):
        content = sources[path]["content"].encode()
        digest.update(Path(path).name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def render(artifact: dict[str, Any]) -> str:
    """The artifact as it stands in its file."""
    return json.dumps(artifact, indent=1) + "\n"


def stale() -> list[str]:
    """The artifacts that are missing, out of date, or left over."""
    found = []
    for name in names():
        file = ARTIFACTS / f"{name}.json"
        if not file.exists() or file.read_text() != render(compile_source(SOURCES / f"{name}.vy")):
            found.append(name)
    found += [file.stem for file in ARTIFACTS.glob("*.json") if file.stem not in names()]
    return found


def write() -> None:
    """Compile every contract into its artifact and print the sizes."""
    for file in ARTIFACTS.glob("*.json"):
        if file.stem not in names():
            file.unlink()
    for name in names():
        artifact = compile_source(SOURCES / f"{name}.vy")
        (ARTIFACTS / f"{name}.json").write_text(render(artifact))
        size = len(artifact["deployed_bytecode"]) // 2 - 1 + artifact["immutables_size"]
        print(f"{name:20} {size:6} of {CODE_LIMIT} bytes")


def main(arguments: list[str]) -> int:
    """Write or check; the exit code tells whether the artifacts are right."""
    if arguments == ["--write"]:
        write()
        return 0
    if arguments not in ([], ["--check"]):
        print("usage: python tools/contracts.py [--check|--write]", file=sys.stderr)
        return 2
    wrong = stale()
    for name in wrong:
        print(f"{name} is not what its source compiles to; run tools/contracts.py --write")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

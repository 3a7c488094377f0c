"""The shipped artifacts are what the sources compile to, and tell the truth about the chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools import contracts

from tests.contracts.worlds import World


def test_the_artifacts_are_what_the_sources_compile_to() -> None:
    assert contracts.stale() == []


def test_a_changed_missing_or_left_over_artifact_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = json.loads((contracts.ARTIFACTS / "BTCD.json").read_text())
    monkeypatch.setattr(contracts, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(contracts, "names", lambda: ["BTCD", "RiskEngine"])
    shipped["source_sha256"] = "00" * 32
    (tmp_path / "BTCD.json").write_text(contracts.render(shipped))
    (tmp_path / "Gone.json").write_text("{}")
    assert contracts.stale() == ["BTCD", "RiskEngine", "Gone"]
    assert contracts.main([]) == 1
    assert contracts.main(["--write"]) == 0
    assert contracts.main(["--check"]) == 0
    assert not (tmp_path / "Gone.json").exists()
    assert contracts.main(["--wrong"]) == 2


@pytest.mark.parametrize("name", contracts.names())
def test_code_fits_the_size_limit(name: str) -> None:
    artifact = json.loads((contracts.ARTIFACTS / f"{name}.json").read_text())
    size = len(artifact["deployed_bytecode"]) // 2 - 1 + artifact["immutables_size"]
    assert size <= contracts.CODE_LIMIT
    assert len(artifact["bytecode"]) // 2 - 1 <= 2 * contracts.CODE_LIMIT


def test_the_code_on_chain_is_the_artifact_and_its_immutables(world: World) -> None:
    risk = world.risk()
    vault = world.vault(risk)
    artifact = json.loads((contracts.ARTIFACTS / "Vault.json").read_text())
    code = world.chain.code(vault.address)
    plain = bytes.fromhex(artifact["deployed_bytecode"][2:])
    assert code[: len(plain)] == plain
    assert len(code) == len(plain) + artifact["immutables_size"]

    def immutable(name: str) -> bytes:
        slot = artifact["immutables"][name]
        start = len(plain) + slot["offset"]
        return code[start : start + slot["length"]]

    assert immutable("asset") == bytes(12) + bytes.fromhex(world.token.address[2:])
    assert immutable("risk") == bytes(12) + bytes.fromhex(risk.address[2:])
    assert int.from_bytes(immutable("decimals")) == 24
    assert int.from_bytes(immutable("roles.FLAGS")) == 15

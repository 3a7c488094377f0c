"""Staking as an operator meets it: deployed, taken in, funded and checked by commands."""

import json
import re
from pathlib import Path

import pytest
from eth_abi.abi import encode as abi_encode

from millpond.chains.evm.keystore import write_keystore
from tests.contracts.artifacts import artifact
from tests.support.evm_nodes import ACCOUNTS, KEYS, Node
from tests.support.product import environment, millpond

PASSWORD = "correct horse"


@pytest.fixture
def operator(anvil_node: Node, tmp_path: Path) -> dict[str, str]:
    """The environment of an operator with a key file, a chain, and a fresh database."""
    key = tmp_path / "key.json"
    write_keystore(key, bytes.fromhex(KEYS[0][2:]), password=PASSWORD.encode(), iterations=2)
    config = tmp_path / "pool.toml"
    config.write_text(
        f"""
        [[evm]]
        name = "local"
        chain_id = {anvil_node.chain_id}
        urls = ["{anvil_node.url}"]
        [[evm.keys]]
        file = "{key}"
        unlock = "env:KEY_PASSWORD"
        [evm.tx]
        confirmations = 1
        poll_s = 0.05
        """
    )
    config.chmod(0o600)
    env = environment(tmp_path / "data") | {
        "MILLPOND_CONFIG": str(config),
        "KEY_PASSWORD": PASSWORD,
        "USER": "alice",
    }
    assert millpond("migrate", env=env).returncode == 0
    return env


def run(env: dict[str, str], *arguments: str, code: int = 0) -> str:
    result = millpond(*arguments, env=env)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_pool_is_deployed_taken_in_and_funded_once_however_often_it_is_said(
    operator: dict[str, str],
):
    planned = run(operator, "deploy", "staking", "--pool", "one", "--dry-run")
    assert "StakingPool" in planned
    assert "nothing was done" in planned
    first = run(operator, "deploy", "staking", "--pool", "one")
    contracts = re.findall(r"^  (\w+) +(0x\w{40})  \w+ +code sha256 \w{64}$", first, re.MULTILINE)
    assert [name for name, _ in contracts] == ["token", "pool", "rewards", "config"]
    again = run(operator, "deploy", "staking", "--pool", "one")
    assert re.findall(r"^  (\w+) +(0x\w{40})  ", again, re.MULTILINE) == contracts
    taken = run(operator, "staking", "init", "--pool", "one", "--per-minute", "2.5")
    assert "one: direct pool of BTCD" in taken
    assert "2.500000000000000000 BTCD a minute" in taken
    assert run(operator, "staking", "init", "--pool", "one", "--per-minute", "2.5") == taken
    other = run(operator, "staking", "init", "--pool", "one", "--per-minute", "3", code=1)
    assert "made with another rate" in other

    # The test token's owner is the deployer, who has none of it yet.
    poor = run(operator, "staking", "fund", "--pool", "one", "--amount", "5", code=1)
    assert "holds 0" in poor
    shown = json.loads(run(operator, "staking", "status", "--json"))
    assert [(p["pool_id"], p["staked"]) for p in shown] == [("one", "0.000000000000000000 BTCD")]
    assert (shown[0]["silent_since"], shown[0]["indexed_at"]) == (None, None)
    assert "nothing was read yet" in run(operator, "staking", "status")


def test_what_the_owner_alone_can_do_is_printed_for_the_owner(operator: dict[str, str]):
    safe = ACCOUNTS[5].address
    text = run(operator, "deploy", "staking", "--pool", "v", "--kind", "vault", "--owner", safe)
    assert "left to do by hand" in text
    assert re.search(rf"write v into the register of pools: from {safe} to 0x\w{{40}}", text)
    names = re.findall(r"^  (\w+) +0x\w{40}  (\w+)", text, re.MULTILINE)
    assert ("pool", "Vault") in names
    assert ("oracle", "OracleAdapter") in names
    hint = re.search(r"^next: millpond (staking init .*)$", text, re.MULTILINE)
    assert hint is not None
    assert "v: vault pool of BTCD" in run(operator, *hint[1].split())


def test_a_safes_owners_sign_and_its_transaction_is_executed(
    operator: dict[str, str], anvil_node: Node
):
    owner = ACCOUNTS[0].address
    arguments = abi_encode(["address[]", "uint256"], [[owner], 1])
    compiled = artifact("TestSafe")
    safe = anvil_node.deploy(bytes.fromhex(compiled["bytecode"][2:]) + arguments)
    deployed = run(operator, "deploy", "staking", "--pool", "v", "--owner", safe)
    (to, data) = re.search(r" to (0x\w{40}) with data\n  (0x\w+)", deployed).groups()  # type: ignore[union-attr]
    made = run(operator, "safe", "propose", safe, "--to", to, "--data", data, "--title", "record v")
    proposal = made.split()[0]
    assert "prepared" in made
    assert "not ready" in run(operator, "safe", "execute", proposal, code=1)
    assert "ready" in run(operator, "safe", "sign", proposal)
    assert "executed" in run(operator, "safe", "execute", proposal)
    assert "executed" in run(operator, "safe", "list")
    count = anvil_node.rpc("eth_call", {"to": to, "data": "0x06661abd"}, "latest")
    assert int(count, 16) == 1


def test_a_key_file_is_made_and_shows_its_address(operator: dict[str, str], tmp_path: Path):
    path = tmp_path / "new.json"
    made = run(operator, "keys", "new", str(path), "--unlock", "env:KEY_PASSWORD")
    assert run(operator, "keys", "show", str(path), "--unlock", "env:KEY_PASSWORD") == made
    assert path.stat().st_mode & 0o077 == 0
    assert "exists" in run(
        operator, "keys", "new", str(path), "--unlock", "env:KEY_PASSWORD", code=2
    )
    wrong = operator | {"KEY_PASSWORD": "wrong"}
    assert "cannot be decrypted" in run(
        wrong, "keys", "show", str(path), "--unlock", "env:KEY_PASSWORD", code=2
    )


def test_bad_words_get_one_line_and_change_nothing(operator: dict[str, str]):
    for arguments, sentence in (
        (["deploy", "staking", "--kind", "bucket"], "a pool is direct or vault"),
        (["deploy", "staking", "--token", "0x12"], "address"),
        (["deploy", "staking", "--token", ACCOUNTS[7].address], "no contract stands at"),
        (["staking", "fund", "--pool", "none", "--amount", "1"], "no staking pool"),
        (["deploy", "staking", "--chain", "moon"], "no chain is named moon; known are local"),
        (["tasks", "run", "nothing"], "no task has that name"),
        (["verify", "epoch", "missing.json"], "give --rpc or --log"),
        (["verify", "epoch", "missing.json", "--log", "x"], "cannot read missing.json"),
    ):
        result = millpond(*arguments, env=operator)
        assert result.returncode in {1, 2}, (arguments, result.stdout, result.stderr)
        assert sentence in result.stderr, (arguments, result.stderr)
        assert len(result.stderr.splitlines()) == 1, result.stderr
    assert json.loads(run(operator, "staking", "status", "--json")) == []


def test_a_pool_that_is_not_deployed_is_not_taken_in(operator: dict[str, str]):
    text = run(operator, "staking", "init", "--pool", "ghost", code=1)
    assert "is not deployed" in text


def test_the_doctor_looks_at_nodes_keys_and_gas(operator: dict[str, str], anvil_node: Node):
    def findings(env: dict[str, str]) -> list[dict[str, str]]:
        found = json.loads(millpond("doctor", "--json", env=env).stdout)
        return [f for f in found if f["subject"].startswith("chain ")]

    well = findings(operator)
    assert any("has gas money" in f["message"] for f in well)
    assert not [f for f in well if f["level"] == "fault"]
    locked = findings(operator | {"KEY_PASSWORD": "wrong"})
    assert any("cannot be decrypted" in f["message"] for f in locked)
    gone = findings(operator | {"MILLPOND__EVM__0__CHAIN_ID": "5"})
    assert any("serves chain 31337, not 5" in f["message"] for f in gone)

"""The staking demo of `millpond up`: two pools, two stakers who earn, books that agree."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import Pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The demo without the miner, running."""
    data = tmp_path_factory.mktemp("staking") / "data"
    with Pool(data, devevm__enabled="yes", miner__enabled="no") as running:
        yield running


def status(pool: Pool) -> dict[str, dict[str, Any]]:
    result = pool.command("staking", "status", "--json")
    assert result.returncode == 0, result.stderr
    return {each["pool_id"]: each for each in json.loads(result.stdout)}


def test_two_stakers_earn_in_both_pools_and_the_books_agree(pool: Pool, tmp_path: Path):
    def earning() -> dict[str, dict[str, Any]] | None:
        found = status(pool)
        both = len(found) == 2 and all(each["stakers"] == 2 for each in found.values())
        return found if both and Decimal(found["btcd-vault"]["owed"].split()[0]) > 0 else None

    found = pool.until("stakers who earn", earning)
    assert {each["staked"] for each in found.values()} == {"50000.000000000000000000 BTCD"}
    audit = pool.command("audit", "--json")
    assert audit.returncode == 0, audit.stdout
    rows = {row["check"]: row["verdict"] for row in json.loads(audit.stdout)["rows"]}
    assert rows["principal_on_chain"] == rows["distributed_le_funded"] == rows["trail"] == "ok"

    epoch = found["btcd-vault"]["last_epoch"]
    statement = pool.command("staking", "statement", str(epoch), "--pool", "btcd-vault")
    right, wrong = tmp_path / "right.json", tmp_path / "wrong.json"
    right.write_text(statement.stdout)
    cumulative = json.loads(statement.stdout)["accounts"][0]["cumulative"]
    changed = statement.stdout.replace(
        f'"cumulative":"{cumulative}"', f'"cumulative":"{int(cumulative) + 1}"', 1
    )
    wrong.write_text(changed)
    node = next(line.split()[2] for line in pool.lines if line.startswith("devevm    ready"))
    events = tmp_path / "events.log"
    good = pool.command("verify", "epoch", str(right), "--rpc", node, "--record", str(events))
    assert (good.returncode, "right: " in good.stdout) == (0, True), good.stdout + good.stderr
    assert pool.command("verify", "epoch", str(right), "--log", str(events)).returncode == 0
    bad = pool.command("verify", "epoch", str(wrong), "--log", str(events))
    assert bad.returncode == 1
    assert f"cumulative: {cumulative} expected, {int(cumulative) + 1} found" in bad.stdout


def test_the_tasks_are_listed_and_run_by_hand(pool: Pool):
    def tasks() -> dict[str, dict[str, Any]]:
        result = pool.command("tasks", "list", "--json")
        return {task["name"]: task for task in json.loads(result.stdout)}

    before = pool.until("tasks", tasks)
    assert set(before) == {
        "clean-up",
        "oracle-refresh",
        "risk-checks",
        "staking-figures",
        "staking-payments",
        "staking-rewards",
    }
    pool.until("first clean-up", lambda: tasks()["clean-up"]["runs"])
    runs = tasks()["clean-up"]["runs"]
    assert pool.command("tasks", "run", "clean-up").returncode == 0
    pool.until("clean-up by hand", lambda: tasks()["clean-up"]["runs"] > runs)

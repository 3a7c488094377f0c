"""The product as its user meets it: `millpond up`, and nothing else prepared."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chains.daemons import LitecoinDaemon
from tests.support.postgres import PostgresServer, apart
from tests.support.product import Pool, environment, millpond

QUICK: dict[str, Any] = {"devchain__block_time_s": 1, "miner__load": 0.3}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The demo, running."""
    data = tmp_path_factory.mktemp("pool") / "data"
    with Pool(data, **QUICK) as running:
        yield running


def paid(pool: Pool) -> dict[str, Any]:
    return pool.until("settled payout", lambda: pool.payments("settled"))[0]


def test_blocks_are_found_credited_mature_and_paid(pool: Pool):
    payout = paid(pool)
    assert int(payout["amount"]["units"]) > 0
    assert len(payout["txid"]) == 64
    mature = pool.until("mature block", lambda: pool.blocks("mature"))
    assert mature[0]["confirmations_needed"] == 6
    wallet = payout["wallet"]
    balances = pool.get(f"/api/v1/miners/{wallet}/balances")
    text = json.dumps(balances)
    assert "immature" in text
    stats = pool.get("/api/v1/stats")
    assert stats["active_workers"] == 1
    assert stats["pool_hashrate"] > 0


def test_the_books_agree_with_the_log_and_the_chain(pool: Pool):
    paid(pool)
    result = pool.command("audit", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads(result.stdout)


def test_health_metrics_and_pages_answer(pool: Pool):
    ready = pool.until("readiness", lambda: pool.get("/readyz"))
    assert {check["name"] for check in ready["checks"]} == {"database", "edge", "worker"}
    assert pool.get("/healthz")["status"] == "ok"
    with urllib.request.urlopen(pool.url + "/metrics") as answer:
        page = answer.read().decode()
    assert 'millpond_part_up{part="edge"} 1.0' in page
    assert "millpond_edge_accepted_shares_total" in page
    with urllib.request.urlopen(pool.url + "/") as answer:
        assert b"dev-main" in answer.read() or answer.status == 200


def test_a_second_pool_on_the_same_data_is_refused(pool: Pool):
    result = millpond("up", env=environment(pool.data))
    assert result.returncode == 1
    assert "a pool already runs on" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_doctor_finds_nothing_wrong_with_a_running_pool(pool: Pool):
    result = pool.command("doctor", "--json")
    findings = json.loads(result.stdout)
    faults = [finding for finding in findings if finding["level"] == "fault"]
    assert (result.returncode, faults) == (0, [])
    assert any("running on this data directory" in finding["message"] for finding in findings)


def test_a_payout_run_can_be_tried_without_effect(pool: Pool):
    paid(pool)
    result = pool.command("payout", "run", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "devcoin: would send" in result.stdout
    listed = pool.command("payout", "list", "--json")
    assert json.loads(listed.stdout)[0]["coin"] == "devcoin"


def test_a_notify_command_reaches_the_edge(pool: Pool):
    result = pool.command("notify-block", "00" * 32)
    assert result.returncode == 0, result.stderr


def test_the_operators_word_reaches_the_miners_and_the_log(pool: Pool):
    def shown() -> bool:
        result = pool.command("miners", "message", "maintenance at noon", "--actor", "anna")
        assert result.returncode == 0, result.stderr
        return result.stdout == "shown to 1 connections\n"

    pool.until("the built-in miner", shown)
    result = pool.command("miners", "message", "to nobody", "--worker", "somebody")
    assert result.stdout == "shown to 0 connections\n"
    result = pool.command("miners", "renumber", "--prefix", "7")
    assert "a new extranonce" in result.stdout
    assert pool.command("miners", "reconnect", "--wait", "1").returncode == 0
    written = (pool.data / "logs" / "edge.log").read_text()
    for word in ("anna", "maintenance at noon", "renumber", "reconnect"):
        assert word in written
    refused = pool.command("miners", "message", "two\nlines")
    assert refused.returncode != 0
    assert "control characters" in refused.stderr


def test_killing_the_tree_leaves_no_process_and_starting_again_keeps_the_data(tmp_path: Path):
    with Pool(tmp_path / "data", **QUICK) as pool:
        pool.until("block", lambda: pool.blocks("confirming"))
        before = {block["block_hash"] for block in pool.blocks("confirming")}
        pool.kill()
        pool.start()
        page = pool.until(
            "blocks again", lambda: pool.get("/api/v1/pools/dev-main/blocks?limit=100")
        )
        assert before <= {block["block_hash"] for block in page["items"]}
        children = pool.children()
        parts = {word for child in children for word in child.cmdline()}
        assert {"edge", "worker", "api", "devchain", "miner"} <= parts
        assert pool.stop() == 0
        assert not any(psutil.pid_exists(child.pid) for child in children)
        order = [line.split()[0] for line in pool.lines if line.endswith(" stopped")]
        assert order[:2] == ["miner", "edge"]
        assert order[-2:] == ["devchain", "all"]


def test_postgresql_alone_holds_books_and_shares(tmp_path: Path, postgres_server: PostgresServer):
    url = apart(postgres_server.create(migrated=False))
    with Pool(tmp_path / "data", **QUICK, database__url=url, sharelog__url=url) as pool:
        pool.until("credited block", lambda: pool.blocks("confirming"))
        assert not [line for line in pool.lines if "sharelog_" in line]
        result = pool.command("audit")
        assert result.returncode == 0, result.stdout + result.stderr
        assert pool.stop() == 0
    assert not list((tmp_path / "data").glob("*.db"))
    apart(postgres_server.drop(url))


def test_a_taken_port_gives_way_with_a_word_and_a_killed_part_comes_back(tmp_path: Path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with Pool(tmp_path / "data", http__port=port, miner__enabled="no") as pool:
            assert f"{port} for pages is taken; using" in pool.wait_for_line(" is taken")
            assert not pool.url.endswith(f":{port}")
            api = next(child for child in pool.children() if "api" in child.cmdline())
            api.kill()
            pool.wait_for_line("api       ended by signal 9; starting it again")
            pool.wait_for_line("api       ready again")
            assert pool.until("answer", lambda: pool.get("/healthz"))["status"] == "ok"
            assert pool.stop() == 0


def test_a_wrong_configuration_is_named_in_full_with_exit_code_2(tmp_path: Path):
    config = tmp_path / "pool.toml"
    config.write_text('[http]\nport = "x"\n[stratum]\nprots = [1]\n[nothing]\n')
    result = millpond("up", "--config", str(config), env=environment(tmp_path / "data"))
    assert result.returncode == 2
    assert "http.port: expected `int`" not in result.stdout
    assert "stratum.prots: is not a setting; did you mean stratum.ports?" in result.stderr
    assert "nothing: is not a setting" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_the_doctor_names_each_fault_with_its_mend(tmp_path: Path):
    config = tmp_path / "pool.toml"
    config.write_text(
        """
        [database]
        url = "postgresql://nobody:hush@127.0.0.1:1/none"
        [[pools]]
        id = "ltc"
        coin = "litecoin-regtest"
        [[daemons]]
        coin = "litecoin-regtest"
        url = "http://127.0.0.1:1"
        user = "u"
        password = "hush"
        """
    )
    result = millpond("doctor", "--config", str(config), env=environment(tmp_path / "data"))
    assert result.returncode == 1
    assert "FAULT    database:" in result.stdout
    assert "FAULT    daemon http://127.0.0.1:1:" in result.stdout
    assert "mend: start the daemon" in result.stdout
    assert "chmod 600" in result.stdout
    assert "hush" not in result.stdout


def test_init_prepares_everything_and_can_be_repeated(tmp_path: Path):
    env = environment(tmp_path / "data")
    first = millpond("init", env=env, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "wrote     millpond.toml" in first.stdout
    assert (tmp_path / "millpond.toml").stat().st_mode & 0o077 == 0
    second = millpond("init", env=env, cwd=tmp_path)
    assert second.returncode == 0
    assert "is up to date" in second.stdout
    assert millpond("migrate", env=env).stdout == "nothing to do\n"
    shown = millpond(
        "config", "show", "--explain", env=env | {"MILLPOND_CONFIG": "millpond.toml"}, cwd=tmp_path
    )
    assert shown.returncode == 0, shown.stderr
    assert "# How long a part may take until it is ready." in shown.stdout


def test_the_doctor_names_an_address_that_is_not_the_wallets(tmp_path: Path):
    env = environment(tmp_path / "data")
    config = tmp_path / "pool.toml"
    settings = """
        [[pools]]
        id = "ltc"
        coin = "litecoin-regtest"
        [[daemons]]
        coin = "litecoin-regtest"
        url = "{url}"
        user = "{user}"
        password = "{password}"
        wallet = "{wallet}"
        """
    with LitecoinDaemon() as daemon:
        for name in ("one", "two"):
            daemon.rpc("createwallet", name)
        access = {"url": daemon.url, "user": daemon.user, "password": daemon.password}
        config.write_text(settings.format(wallet="one", **access))
        config.chmod(0o600)
        assert millpond("init", "--config", str(config), env=env).returncode == 0
        well = millpond("doctor", "--config", str(config), env=env)
        assert "which the wallet 'one' owns" in well.stdout
        config.write_text(settings.format(wallet="two", **access))
        result = millpond("doctor", "--config", str(config), env=env)
    assert result.returncode == 1
    assert "FAULT    pool ltc: its blocks pay rltc1" in result.stdout
    assert "address-ltc away" in result.stdout

"""A configuration is read whole, and every fault in it is named at once."""

from pathlib import Path

import pytest

from millpond.ops.config import ConfigError, load, load_text
from millpond.ops.config.explain import explained, in_force, reference
from millpond.ops.config.schema import describe
from millpond.ops.config.settings import Config
from millpond.ops.parts.api import terms
from millpond.ops.plan import choose_ports, parts_for


def faults_of(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ or {})
    return [str(fault) for fault in caught.value.faults]


def test_nothing_set_is_the_demo_on_the_devchain():
    config = load_text("", {})
    assert config.uses_devchain
    assert config.miner_enabled
    assert config.database_url.startswith("sqlite:///")


def test_all_faults_are_named_at_once():
    found = faults_of(
        """
        data_dri = "x"
        [http]
        port = "eighty"
        prot = 1
        [database]
        url = "mysql://x"
        pool_size = 0
        [log]
        level = "loud"
        [[daemons]]
        coin = "litecoin-regtest"
        """
    )
    text = "\n".join(found)
    assert "data_dri: is not a setting; did you mean data_dir?" in text
    assert "http.prot: is not a setting; did you mean http.port?" in text
    assert "http.port: expected `int`, got `str`" in text
    assert "database.pool_size: expected `int` >= 1" in text
    assert "log.level: invalid enum value" in text
    assert "daemons[0].url: is required and not set" in text
    assert len(found) == 6


def test_faults_between_settings_are_found_too():
    found = faults_of('[database]\nurl = "mysql://x"\n[[daemons]]\ncoin = "dog"\nurl = "http://x"')
    assert found[0].startswith("database.url: names mysql")
    assert found[1].startswith("daemons[0].coin: no coin is named 'dog'")


def test_a_pools_own_ports_have_their_own_difficulties_and_stay_after_a_choice():
    text = """
    [[pools]]
    id = "a"
    coin = "devcoin"
    [[pools.ports]]
    port = 0
    start_difficulty = 2.0
    [[pools.ports]]
    port = 0
    fixed_difficulty = 8.0
    [[pools]]
    id = "b"
    coin = "devcoin"
    """
    config = load_text(text, {"MILLPOND__STRATUM__PORTS": "[0]"})
    chosen = choose_ports(config, lambda _: None)
    again = load_text(text, chosen.environment(config))
    listeners = [again.listeners(index) for index in (0, 1)]
    assert tuple(tuple(one.port for one in own) for own in listeners) == chosen.stratum
    assert [one.start_difficulty for one in listeners[0]] == [2.0, 0.0]
    assert [one.fixed_difficulty for one in listeners[0]] == [0.0, 8.0]
    shown = [[endpoint.difficulty for endpoint in one.endpoints] for one in terms(again)]
    assert shown == [[2.0, 8.0], [again.vardiff.start]]


def test_pools_and_daemons_must_fit_together():
    found = faults_of(
        """
        [[pools]]
        id = "a"
        coin = "bitcoin"
        address = "nonsense"
        [[pools]]
        id = "a"
        coin = "litecoin"
        rewards = { donation_bp = 20000 }
        [[daemons]]
        coin = "litecoin"
        url = "ftp://x"
        user = "u"
        cookie_file = "c"
        """
    )
    text = "\n".join(found)
    assert "pools: the id a is given 2 times" in text
    assert "pools[0].coin: no daemon is named for bitcoin" in text
    assert "pools[0].address: " in text
    assert "pools[1].rewards: fee and donation of the pool must be" in text
    assert "daemons[0].url: starts with http://" in text
    assert "daemons[0]: has a cookie file and a user" in text


def test_rewards_that_nobody_could_be_paid_are_named():
    found = faults_of(
        """
        [[pools]]
        id = "a"
        coin = "litecoin"
        [pools.rewards]
        donation_bp = 100
        donation_wallet = "mine"
        [pools.rewards.parts]
        "LTC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KGMN4N9" = 1
        [pools.rewards.overrides."ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9.rig"]
        fee_bp = 0
        [[daemons]]
        coin = "litecoin"
        url = "http://x"
        """
    )
    assert len(found) == 2
    assert found[0].startswith("pools[0].rewards.donation_wallet: ")
    assert found[1].startswith("pools[0].rewards.parts: ")
    assert "is written ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9" in found[1]


def test_a_section_in_the_wrong_shape_is_named():
    found = faults_of('http = 1\n[daemons]\ncoin = "devcoin"')
    assert "http: is a section, not a single value" in found
    assert any("write [[daemons]]" in fault for fault in found)


def test_the_environment_wins_over_the_file():
    config = load_text(
        '[http]\nport = 1\n[[pools]]\nid = "p"\ncoin = "devcoin"\n'
        '[[daemons]]\ncoin = "devcoin"\nurl = "http://a"',
        {
            "MILLPOND__HTTP__PORT": "9090",
            "MILLPOND__DAEMONS__0__URL": "http://b",
            "MILLPOND__DAEMONS__0__TIMEOUT_S": "2.5",
            "MILLPOND__SUPERVISOR__PARTS": '["edge", "api"]',
            "UNRELATED": "x",
        },
    )
    assert config.http.port == 9090
    assert config.daemons[0].url == "http://b"
    assert config.daemons[0].timeout_s == 2.5
    assert config.supervisor.parts == ("edge", "api")


def test_wrong_environment_is_named_like_a_wrong_file():
    found = faults_of("", {"MILLPOND__HTTP__PORT": "x", "MILLPOND__NOTHING__HERE": "1"})
    assert any(fault.startswith("http.port:") for fault in found)
    assert any(fault.startswith("nothing: is not a setting") for fault in found)
    assert faults_of("", {"MILLPOND__DATA_DIR__X": "1"})


def test_what_is_no_toml_and_what_is_not_there(tmp_path: Path):
    assert "is not TOML" in faults_of("= 1")[0]
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "missing.toml", {})


def test_secrets_are_never_shown():
    config = load_text(
        """
        [database]
        url = "postgresql://pool:hush@db/millpond"
        [[pools]]
        id = "ltc-main"
        coin = "litecoin"
        [[daemons]]
        coin = "litecoin"
        url = "http://127.0.0.1:9332"
        user = "rpc"
        password = "hush"
        """,
        {},
    )
    for text in (in_force(config), explained(config)):
        assert "hush" not in text
        assert "<hidden>" in text
        assert "postgresql://pool:<hidden>@db/millpond" in text


def test_what_is_shown_can_be_read_again():
    config = load_text(
        '[[pools]]\nid = "p"\ncoin = "litecoin"\n'
        '[[daemons]]\ncoin = "litecoin"\nurl = "http://127.0.0.1:9332"',
        {},
    )
    assert load_text(in_force(config), {}) == config
    assert load_text(explained(config), {}) == config


def test_every_setting_says_what_it_means():
    silent = [setting.path for setting in describe(Config) if not setting.meaning]
    assert silent == []
    assert all(setting.type and setting.default for setting in describe(Config))
    assert "| `port` | integer (≥ 0, ≤ 65535) | `8080` |" in reference()


def test_where_only_evm_chains_are_named_nothing_is_mined():
    chain = """
        [[evm]]
        name = "local"
        chain_id = 31337
        urls = ["http://127.0.0.1:1"]
        """
    alone = load_text(chain, {})
    assert (alone.mines, alone.the_pools, alone.the_daemons) == (False, (), ())
    assert parts_for(alone) == ("api", "chains")
    ports = choose_ports(alone, lambda _: None)
    assert load_text(chain, ports.environment(alone)).the_pools == ()
    both = load_text(chain + '[[pools]]\nid = "dev"\ncoin = "devcoin"', {})
    assert set(parts_for(both)) == {"devchain", "worker", "edge", "api", "chains", "miner"}

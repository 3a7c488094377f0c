"""What commands load before they do anything: no database, no server, no chain."""

import subprocess
import sys

import pytest

HEAVY = [
    "aiohttp",
    "asyncio",
    "asyncpg",
    "coincurve",
    "eth",
    "eth_abi",
    "eth_account",
    "eth_utils",
    "litestar",
    "prometheus_client",
    "sqlalchemy",
    "structlog",
    "uvicorn",
    "uvloop",
    "zmq",
]

HELP = "from millpond.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass"
SHOW = "from millpond.cli import app\ntry: app(['config', 'show'])\nexcept SystemExit: pass"


def loaded(code: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter has after running this."""
    script = f"{code}\nimport sys\nprint('\\nloaded', *sorted(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "code", ["import millpond.ops.config", HELP, SHOW], ids=["config", "help", "show"]
)
def test_help_and_configuration_load_nothing_heavy(code):
    assert loaded(code) == set()


def test_what_a_package_shows_is_there_when_it_is_asked_for():
    check = "\n".join(
        f"import millpond.{package} as p\nfor name in p.__all__: assert getattr(p, name) is not None"
        for package in PACKAGES
    )
    assert "sqlalchemy" in loaded(check)


def test_a_package_has_no_other_names():
    with pytest.raises(ImportError, match="nothing_of_the_kind"):
        exec("from millpond.risk import nothing_of_the_kind")


PACKAGES = (
    "chains.evm.tx",
    "intents",
    "mining.payouts",
    "mining.stratum",
    "oracle",
    "risk",
    "store",
)

"""The benchmarks run and print one JSON line a figure."""

import json
from collections.abc import Iterator

import pytest
import structlog
from bench.__main__ import discover, main


@pytest.fixture(autouse=True)
def _logs_put_back() -> Iterator[None]:
    """The runner logs to this test's standard error; later tests have another."""
    yield
    structlog.reset_defaults()


def test_the_ledger_benchmark_prints_figures_for_both_databases(capsys):
    assert main(["ledger", "--quick"]) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {figure["database"] for figure in figures} == {"sqlite", "postgresql"}
    assert all(figure["value"] > 0 and figure["unit"] == "transfers/s" for figure in figures)
    assert {figure["bench"] for figure in figures} == {"ledger"}


def test_an_unknown_benchmark_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "nothing" in capsys.readouterr().err
    assert "ledger" in discover()

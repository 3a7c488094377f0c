"""Whatever is done to the ledger, on either database, it does what the model does."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from millpond.clock import ManualClock
from millpond.errors import MillpondError
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Store
from tests.money.model import SIDES, Model
from tests.money.samples import ALICE, BOB, COSTS, FEES, LTC, RISK, WALLET
from tests.support.postgres import PostgresServer

ACCOUNTS = [WALLET, ALICE, BOB, RISK, FEES, COSTS]

amounts = st.one_of(st.integers(1, 20), st.sampled_from([10**19, 10**40]))
pairs = st.permutations(ACCOUNTS).map(lambda order: order[:2])
incomes = st.sampled_from([(WALLET, ALICE), (WALLET, BOB), (WALLET, FEES), (RISK, ALICE)])
# Few ids, so that repetitions and conflicts happen all the time.
transfers = st.builds(
    lambda number, pair, units, code: Transfer(
        f"t{number}", pair[0], pair[1], LTC.amount(units), code, f"r{number % 3}"
    ),
    st.integers(0, 30),
    st.one_of(pairs, incomes),
    amounts,
    st.sampled_from(["reward", "payout"]),
)
batches = st.lists(transfers, min_size=1, max_size=5)
parts = st.one_of(st.none(), amounts)
resolutions = st.lists(
    st.builds(
        lambda number, pending, units, reference: Resolution(
            f"e{number}", f"t{pending}", None if units is None else LTC.amount(units), reference
        ),
        st.integers(0, 15),
        st.integers(0, 30),
        parts,
        st.sampled_from(["", "r1"]),
    ),
    min_size=1,
    max_size=3,
)


class LedgerMachine(RuleBasedStateMachine):
    """Drives ledger and model side by side, on a loop of its own."""

    fresh_url: Callable[[], str]
    done_with: Callable[[str], None]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.url = type(self).fresh_url()
        self.store: Store = self.runner.run(Store.open(self.url))
        self.clock = ManualClock()
        self.ledger = Ledger(self.clock)
        self.model = Model()

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        type(self).done_with(self.url)
        self.runner.close()

    def do(self, name: str, *args: object, **options: object):
        """Call the ledger in a transaction of its own; the answer or the error's code."""

        async def run():
            async with self.store.begin() as tx:
                return await getattr(self.ledger, name)(tx, *args, **options)

        try:
            return self.runner.run(run()), None
        except MillpondError as error:
            return None, error.code

    def both(
        self, model_call: tuple[Any, ...], name: str, *args: object, **options: object
    ) -> None:
        self.model, expected = self.model.attempt(*model_call)
        answer, code = self.do(name, *args, **options)
        assert code == expected
        if answer is not None:
            again, code = self.do(name, *args, **options)
            assert (again, code) == (answer, None), "a repetition answers as the first time"

    @rule(batch=batches)
    def post(self, batch: list[Transfer]) -> None:
        self.both(("book", batch, False, None, 0), "post", batch)

    @rule(batch=batches, timeout_ms=st.sampled_from([None, 1000, 5000]))
    def reserve(self, batch: list[Transfer], timeout_ms: int | None) -> None:
        call = ("book", batch, True, timeout_ms, self.clock.now_ms())
        self.both(call, "reserve", batch, timeout_ms=timeout_ms)

    @rule(ends=resolutions)
    def post_pending(self, ends: list[Resolution]) -> None:
        self.both(("resolve", ends, "post", self.clock.now_ms()), "post_pending", ends)

    @precondition(lambda self: self.model.open)
    @rule(data=st.data(), number=st.integers(0, 15), void=st.booleans())
    def end_an_open_one(self, data, number: int, void: bool) -> None:
        pending_id = data.draw(st.sampled_from(sorted(self.model.open)))
        if void:
            self._void([Resolution(f"e{number}", pending_id)])
            return
        reserved = self.model.open[pending_id][0].amount.units
        part = data.draw(st.integers(1, reserved))
        self.post_pending([Resolution(f"e{number}", pending_id, LTC.amount(part))])

    @rule(ends=resolutions)
    def void_pending(self, ends: list[Resolution]) -> None:
        self._void([Resolution(r.id, r.pending_id, None, r.reference) for r in ends])

    def _void(self, ends: list[Resolution]) -> None:
        self.both(("resolve", ends, "void", self.clock.now_ms()), "void_pending", ends)

    @rule(seconds=st.sampled_from([0.5, 3]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def expire(self) -> None:
        due = self.model.expire(self.clock.now_ms())
        expired, code = self.do("expire_pending")
        assert code is None
        assert sorted(expired) == sorted(due)

    @rule(batch=batches)
    def roll_back(self, batch: list[Transfer]) -> None:
        async def run() -> None:
            async with self.store.begin() as tx:
                await self.ledger.post(tx, batch)
                raise LookupError

        with pytest.raises((LookupError, MillpondError)):
            self.runner.run(run())

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        balances, _ = self.do("balances", ACCOUNTS)
        for account in ACCOUNTS:
            held = {side: getattr(balances[account], side).units for side in SIDES}
            assert held == self.model.of(account)
            assert balances[account].available.units == self.model.available(account)

    @invariant()
    def the_books_verify(self) -> None:
        assert self.do("verify") == ([], None)

    @invariant()
    def statements_end_with_the_balance(self) -> None:
        lines, _ = self.do("statement", ALICE, limit=1000)
        running = 0
        for line in lines:
            running += line.change.units
            assert line.balance.units == running
        sums = self.model.of(ALICE)
        assert running == sums["credits_posted"] - sums["debits_posted"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_ledger_does_what_the_model_does(kind: str, request, tmp_path: Path):
    numbers = iter(range(1_000_000))

    def fresh_url() -> str:
        if kind == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            return asyncio.run(server.create())
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"

    def done_with(url: str) -> None:
        if kind == "postgresql":
            asyncio.run(request.getfixturevalue("postgres_server").drop(url))

    methods = {"fresh_url": staticmethod(fresh_url), "done_with": staticmethod(done_with)}
    machine = type("Machine", (LedgerMachine,), methods)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("MILLPOND_EXAMPLES", "10")),
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

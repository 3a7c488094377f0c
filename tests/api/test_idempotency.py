"""One key, one effect, one answer: also when the same request comes twice at the same time."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, update

from millpond.api.idempotency import KEEP_MS, Answer, IdempotencyMismatchError, Request, once
from millpond.api.tables import idempotency
from millpond.errors import ConflictError
from millpond.staking.withdrawals.service import Withdrawals
from millpond.staking.withdrawals.tables import withdrawal_table
from millpond.store import Store, Tx
from tests.staking.chain import wallet
from tests.staking.rig import rig_for
from tests.staking.samples import direct_pool

NOW_MS = 1_700_000_000_000
REQUEST = Request("ann", "POST withdraw", "key", b"{}")


class Act:
    """Counts how often it is done, and takes its time, so that others come meanwhile."""

    def __init__(self, *, fails: int = 0) -> None:
        self.done = 0
        self.begun = asyncio.Event()
        self._fails = fails

    async def __call__(self, tx: Tx) -> Answer:
        self.done += 1
        self.begun.set()
        number = self.done
        await asyncio.sleep(0.05)
        if number <= self._fails:
            raise ConflictError("not now")
        return Answer(201, f"answer {number}".encode())


async def test_two_at_once_get_one_withdrawal_and_one_answer(store: Store):
    rig = await rig_for(store, [direct_pool(pool_id="one")], risky=True)
    rig.chain.deposit("one", wallet(1), 500)
    rig.chain.mine(6)
    await rig.index()
    withdrawals = Withdrawals(rig.ledger, rig.risk, rig.clock, rig.ids)

    async def act(tx: Tx) -> Answer:
        made = await withdrawals.request(tx, pool_id="one", wallet=wallet(1), amount=10)
        await asyncio.sleep(0.05)
        return Answer(201, made.id.encode())

    answers = await asyncio.gather(*(once(store, REQUEST, NOW_MS, act) for _ in range(3)))
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True, True]
    async with store.read() as tx:
        made = (await tx.execute(select(func.count()).select_from(withdrawal_table))).scalar()
    assert made == 1


async def test_who_waited_for_a_request_that_failed_is_served(store: Store):
    act = Act(fails=1)
    first = asyncio.create_task(once(store, REQUEST, NOW_MS, act))
    await act.begun.wait()
    second = asyncio.create_task(once(store, REQUEST, NOW_MS, act))
    with pytest.raises(ConflictError):
        await first
    assert await second == Answer(201, b"answer 2")
    assert await once(store, REQUEST, NOW_MS, act) == Answer(201, b"answer 2", replayed=True)
    assert act.done == 2


async def test_a_key_that_is_under_way_is_not_good_for_another_body(store: Store):
    act = Act()
    first = asyncio.create_task(once(store, REQUEST, NOW_MS, act))
    await act.begun.wait()
    with pytest.raises(IdempotencyMismatchError):
        await once(store, Request("ann", "POST withdraw", "key", b"[]"), NOW_MS, act)
    assert (await first).replayed is False
    assert act.done == 1


async def test_other_keys_and_requests_without_one_do_not_wait_for_each_other(store: Store):
    act = Act()
    keys = ("a", "b", None, None)
    requests = [Request("ann", "POST withdraw", key, b"{}") for key in keys]
    answers = await asyncio.gather(*(once(store, one, NOW_MS, act) for one in requests))
    assert {answer.replayed for answer in answers} == {False}
    assert act.done == 4


async def test_a_key_is_good_again_after_a_day_and_old_ones_go(store: Store):
    act = Act()
    await once(store, REQUEST, NOW_MS, act)
    await once(store, Request("bob", "POST withdraw", "key", b"{}"), NOW_MS, act)
    later = NOW_MS + KEEP_MS
    again = await once(store, Request("ann", "POST withdraw", "key", b"[]"), later, act)
    assert again == Answer(201, b"answer 3")
    async with store.begin() as tx:
        kept = (await tx.execute(select(idempotency.c.id, idempotency.c.status))).all()
        assert kept == [(REQUEST.id, 201)]
        await tx.execute(update(idempotency).values(expires_ms=later))
    assert (await once(store, REQUEST, later, act)).body == b"answer 4"

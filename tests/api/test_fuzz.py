"""Whatever is sent: no crash, a typed answer as the description says, and the books untouched."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from millpond.api.settings import ApiSettings
from millpond.mining.payouts.tables import payout_setting_table, payout_table
from millpond.staking.rewards import claims
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.store import Store
from tests.api import staked
from tests.api.real_pool import ANN, BOB, OPERATOR_KEY, RealPool
from tests.api.staked import Platform
from tests.mining.share_log import POOL
from tests.web.serving import serving

LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
EXAMPLES = 2_000 if LONG else 10
UNLIMITED = 100_000_000
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KNOWN: dict[str, list[Any]] = {
    "wallet": [ANN.address, BOB.address, staked.ANN.address, staked.BOB.address.lower()],
    "pool_id": [POOL, staked.POOL, staked.VAULT],
    "epoch": [0, 1, 2],
    "asset": ["btcd", "BTCD"],
    "quote": ["USD"],
    "block_hash": ["aa" * 32, "cc" * 32],
    "block": ["aa" * 32, "bb" * 32],
    "coin": ["devcoin", "DEV"],
}


@contextmanager
def served(template: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A real server over real rooms in a thread of its own; afterwards, its books."""
    shutil.copy(template, folder / "pool.db")
    started, stop = threading.Event(), threading.Event()
    found: dict[str, Any] = {}

    async def books(platform: Platform) -> dict[str, Any]:
        async with platform.store.read() as tx:
            return {
                "trial": await platform.mining.ledger.trial_balance(tx),
                "faults": await platform.mining.ledger.verify(tx),
                "trail": await platform.rooms.trail.verify(tx),
                "withdrawals": await withdrawal_rows.listed(tx),
                "claims": await claims.listed(tx),
                "payouts": (await tx.execute(select(payout_table))).all(),
                "settings": (await tx.execute(select(payout_setting_table))).all(),
            }

    async def run() -> None:
        store = await Store.open(f"sqlite:///{folder}/pool.db")
        limits = ApiSettings(
            port=0,
            requests_per_minute=UNLIMITED,
            pages_per_minute=UNLIMITED,
            sign_in_per_minute=UNLIMITED,
        )
        platform = await (await Platform.make(store, limits)).with_history()
        await platform.mining.with_history()
        found["before"] = await books(platform)
        async with serving(platform.deps) as url:
            found["url"] = url
            started.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)
        found["after"] = await books(platform)
        await store.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert started.wait(60), "the server did not start"
        yield str(found["url"]), found
    finally:
        stop.set()
        thread.join(60)


def attack(url: str) -> int:
    """Send generated requests to every operation; returns how many were sent.

    The operator's door is opened with the operator's key, or nothing behind it would be met.
    """
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    session_count = 0
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=not LONG,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), data=st.data())
        def probe(case, data):
            nonlocal session_count
            for name, values in KNOWN.items():
                if name in (case.path_parameters or {}) and data.draw(st.integers(0, 3)):
                    case.path_parameters[name] = data.draw(st.sampled_from(values))
            if "/admin/" in case.path:
                case.headers["Authorization"] = f"Bearer {OPERATOR_KEY}"
            case.call_and_validate(base_url=url, checks=CHECKS)
            session_count += 1

        probe()
    return session_count


def test_generated_requests_break_nothing(sqlite_template: Path, tmp_path: Path):
    with served(sqlite_template, tmp_path) as (url, found):
        sent = attack(url)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert sent > 300
    assert found["after"] == found["before"], "the books were touched"
    assert found["after"]["faults"] == found["after"]["trail"] == []


NONSENSE = [
    b"",
    b"null",
    b"[]",
    b"{" * 2_000,
    b"[" * 8_000 + b"]" * 8_000,
    b'{"amount":' * 1_500 + b"1" + b"}" * 1_500,
    b'{"amount":1e999}',
    b'{"amount":1.5}',
    b'{"amount":"-1"}',
    b'{"amount":"0"}',
    b'{"amount":"0.000000001"}',
    b'{"amount":"' + b"9" * 78 + b'"}',
    b'{"amount":"1","amount":"2","x":3}',
    b'{"pool":"other"}',
    b'{"amount":"\xff"}',
    '{"amount":"１"}'.encode(),
]


async def test_the_operators_key_does_not_make_nonsense_work(store: Store):
    pool = await (await RealPool.make(store)).with_history()
    headers = {"authorization": f"Bearer {OPERATOR_KEY}", "content-type": "application/json"}
    path = f"/api/v1/miners/{ANN.address}/payout"
    async with pool.client() as client:
        for body in NONSENSE:
            answer = await client.post(path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, (body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    async with pool.store.read() as tx:
        assert (await tx.execute(select(payout_table))).all() == []


async def test_the_description_is_openapi_3_1_and_names_every_path(store: Store):
    pool = await RealPool.make(store)
    async with pool.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    wanted = {
        "/api/v1/stats",
        "/api/v1/pools",
        "/api/v1/pools/{pool_id}",
        "/api/v1/workers",
        "/api/v1/payouts",
        *(
            f"/api/v1/pools/{{pool_id}}/{name}"
            for name in ("blocks", "miners", "performance", "payments")
        ),
        "/api/v1/miners/{wallet}",
        *(
            f"/api/v1/miners/{{wallet}}/{name}"
            for name in (
                "balances",
                "balance/{coin}",
                "payouts",
                "workers",
                "performance",
                "shares/receipts",
                "proofs/{block}",
                "payout",
                "payout-settings",
            )
        ),
    }
    assert wanted <= document["paths"].keys()
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for item in document["paths"].values():
        for operation in item.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]

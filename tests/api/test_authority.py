"""Who may do what: every operation of the description, for everybody who may come along.

What an operation needs is read from the description itself, and those that need nothing
are listed here: a new one that is on neither list fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

from millpond.api.app import create_app
from millpond.api.openapi import document
from tests.api.staked import ANN, BOB, OPERATOR, POOL, Platform

OPEN = {
    "GET /api/v1/stats",
    "GET /api/v1/pools",
    "GET /api/v1/pools/{pool_id}",
    "GET /api/v1/pools/{pool_id}/blocks",
    "GET /api/v1/pools/{pool_id}/miners",
    "GET /api/v1/pools/{pool_id}/performance",
    "GET /api/v1/pools/{pool_id}/payments",
    "GET /api/v1/pools/{pool_id}/rejects",
    "GET /api/v1/blocks/{block_hash}",
    "GET /api/v1/miners/{wallet}",
    "GET /api/v1/miners/{wallet}/balances",
    "GET /api/v1/miners/{wallet}/balance/{coin}",
    "GET /api/v1/miners/{wallet}/payouts",
    "GET /api/v1/miners/{wallet}/workers",
    "GET /api/v1/miners/{wallet}/performance",
    "GET /api/v1/miners/{wallet}/shares/receipts",
    "GET /api/v1/miners/{wallet}/proofs/{block}",
    "POST /api/v1/auth/challenge",
    "POST /api/v1/auth/session",
    "GET /api/v1/pool/{asset}/info/{pool_id}",
    "GET /api/v1/pool/{asset}/user/{wallet}",
    "GET /api/v1/pools/{pool_id}/risk",
    "GET /api/v1/pools/{pool_id}/history",
    "GET /api/v1/pools/{pool_id}/events",
    "GET /api/v1/pools/{pool_id}/epochs",
    "GET /api/v1/pools/{pool_id}/epochs/{epoch}",
    "GET /api/v1/pools/{pool_id}/epochs/{epoch}/statement",
    "GET /api/v1/pools/{pool_id}/proof/{wallet}",
    "GET /api/v1/prices",
    "GET /healthz",
    "GET /readyz",
}
"""What anybody may ask."""

MINERS = {
    "GET /api/v1/workers",
    "GET /api/v1/payouts",
    "POST /api/v1/payouts",
    "POST /api/v1/miners/{wallet}/payout",
    "PUT /api/v1/miners/{wallet}/payout-settings",
    "DELETE /api/v1/auth/session",
}
"""What is about a miner's address; `test_writes` has its own cases."""

PLACES: dict[str, Any] = {"pool_id": POOL, "wallet": ANN.address, "asset": "BTCD", "quote": "USD"}

BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/pools/{pool_id}/deposit": {"wallet": ANN.address, "amount": "1"},
    "/api/v1/pools/{pool_id}/withdraw": {"wallet": ANN.address, "amount": "1"},
    "/api/v1/pool/withdraw": {"pool_id": POOL, "wallet": ANN.address, "amount": "1"},
    "/api/v1/pools/{pool_id}/rewards/claim": {"wallet": ANN.address},
    "/api/v1/admin/pools": {
        "pool_id": "another",
        "kind": "direct",
        "chain_id": 31337,
        "token": "0x1111111111111111111111111111111111111111",
        "contract": "0x6666666666666666666666666666666666666666",
    },
    "/api/v1/admin/pools/{pool_id}/weight": {"weight": "0.5", "reason": "a try"},
    "/api/v1/admin/pools/{pool_id}/rate": {"reward_per_minute": "2", "reason": "a try"},
    "/api/v1/admin/pools/{pool_id}/fund": {"amount": "1", "order": "a-try"},
    "/api/v1/admin/pools/{pool_id}/pause": {"reason": "a try"},
    "/api/v1/admin/pools/{pool_id}/resume": {"reason": "a try"},
    "/api/v1/admin/risk/limits": {
        "scope": "platform",
        "asset": "BTCD",
        "limits": {},
        "reason": "a try",
    },
    "/api/v1/admin/risk/pause": {"scope": "platform", "reason": "a try"},
    "/api/v1/admin/risk/resume": {"scope": "platform", "reason": "a try"},
    "/api/v1/admin/holds/{hold_id}/reset": {"reason": "a try"},
    "/api/v1/admin/withdrawals/{withdrawal_id}/cancel": {"reason": "a try"},
}

OWN = {"session", "operator"}


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, set[str]]]:
    """Method, path and who may, of each operation."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            who = {name for way in operation.get("security", []) for name in way}
            yield method.upper(), path, who - {"signature"}


def described_by(platform: Platform) -> dict[str, Any]:
    app: Any = create_app(platform.deps).inner
    return document(app)


async def ask(client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]) -> Any:
    places = dict.fromkeys(("hold_id", "alert_id", "withdrawal_id", "name", "epoch"), "1")
    url = path.format(**(places | {"order": "a-try"} | PLACES))
    if method == "GET":
        return await client.get(url, headers=headers)
    return await client.request(
        method,
        url,
        content=json.dumps(BODIES.get(path, {})),
        headers={"content-type": "application/json", **headers},
    )


async def test_every_operation_says_who_may_use_it(platform: Platform):
    described = described_by(platform)
    without = {f"{method} {path}" for method, path, who in operations(described) if not who}
    assert without == OPEN
    for method, path, who in operations(described):
        if f"{method} {path}" in OPEN | MINERS:
            continue
        assert who in ({"operator"}, OWN), (method, path)
        assert (who == {"operator"}) == path.startswith("/api/v1/admin/")


async def test_each_is_open_to_those_whom_it_names_and_closed_to_others(
    platform: Platform, client: httpx.AsyncClient
):
    described = described_by(platform)
    own, other = [await platform.sign_in(client, who) for who in (ANN, BOB)]
    callers: dict[str, dict[str, str]] = {
        "nobody": {},
        "a wrong token": {"authorization": "Bearer nonsense"},
        "another wallet": other,
        "the wallet": own,
        "operator": OPERATOR,
    }
    tried = 0
    for method, path, who in operations(described):
        if f"{method} {path}" in OPEN | MINERS:
            continue
        # The operator last: what it does changes what the others would meet.
        for name, headers in callers.items():
            answer = await ask(client, method, path, headers)
            if name in {"nobody", "a wrong token"}:
                expected = {401}
            elif name == "operator" or (name == "the wallet" and who == OWN):
                expected = {200, 201, 400, 404, 409}
            else:
                expected = {403}
            assert answer.status_code in expected, (name, method, path, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
            tried += 1
    assert tried > 150


async def test_the_operators_acts_are_on_the_trail_under_a_name(
    platform: Platform, client: httpx.AsyncClient
):
    described = described_by(platform)
    headers = OPERATOR | {"millpond-actor": "carol@ops"}
    acts = [
        (method, path)
        for method, path, who in operations(described)
        if method != "GET"
        and f"{method} {path}" not in OPEN | MINERS
        and not path.endswith("/deposit")
    ]
    done, after = 0, []
    for method, path in acts:
        before = (await client.get("/api/admin/trail", headers=OPERATOR)).json()["items"]
        answer = await ask(client, method, path, headers)
        after = (await client.get("/api/admin/trail", headers=OPERATOR)).json()["items"]
        if answer.status_code < 300:
            done += 1
            # A withdrawal or a claim that is under way already is answered with that one.
            repeated = len(after) == len(before) and path == "/api/v1/pool/withdraw"
            assert repeated or after[0]["actor"] == "operator:carol@ops", (method, path)
        else:
            assert after == before, (method, path, answer.text)
    assert done >= 10
    check = (await client.get("/api/admin/trail/verify", headers=OPERATOR)).json()
    assert check["ok"]
    assert check["entries"] == len(after)
    bad = await client.get("/api/admin/tasks", headers=OPERATOR | {"millpond-actor": "a b"})
    assert bad.status_code == 400

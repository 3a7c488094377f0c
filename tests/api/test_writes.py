"""Money moves for who holds the address's key or the operator's, once, and for nobody else."""

import json
from typing import Any

from sqlalchemy import func, select

from millpond.api.tables import idempotency
from millpond.chains.bitcoin.address import encode_segwit
from millpond.identity.tables import nonces, sessions
from millpond.mining.accounts import miner_balance
from millpond.mining.payouts.tables import payout_setting_table, payout_table
from tests.api.real_pool import ANN, BOB, COIN, EVE, OPERATOR_KEY, RealPool
from tests.mining.share_log import POOL

PAYOUT = f"/api/v1/miners/{ANN.address}/payout"
SETTINGS = f"/api/v1/miners/{ANN.address}/payout-settings"
NONCE = "a-nonce-of-some-length"
OPERATOR = {"authorization": f"Bearer {OPERATOR_KEY}"}


def signed(pool: RealPool, action: str, body: bytes, wallet=ANN, nonce=NONCE, at_ms=None):
    now_ms = pool.clock.now_ms() if at_ms is None else at_ms
    return wallet.headers(action, body, at_ms=now_ms, nonce=nonce)


async def owed(pool: RealPool) -> tuple[int, int]:
    """Ann's available and reserved units."""
    account = miner_balance(COIN, ANN.address)
    async with pool.store.read() as tx:
        balance = (await pool.ledger.balances(tx, [account]))[account]
        assert await pool.ledger.verify(tx) == []
    return balance.available.units, (balance.posted - balance.available).units


async def count(pool: RealPool, table) -> int:
    async with pool.store.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


async def test_a_signed_request_reserves_the_payout(pool: RealPool):
    body = b'{"amount": "1.5"}'
    async with pool.client() as client:
        answer = await client.post(PAYOUT, content=body, headers=signed(pool, "POST payout", body))
        mine = await client.get(f"/api/v1/miners/{ANN.address}/payouts")
        public = await client.get(f"/api/v1/pools/{POOL}/payments")
    assert answer.status_code == 201, answer.text
    assert answer.json()["amount"] == {"asset": "DEV", "amount": "1.50000000", "units": "150000000"}
    assert answer.json()["state"] == "reserved"
    assert mine.json()["items"] == public.json()["items"] == [answer.json()]
    assert await owed(pool) == (3_150_000_000, 150_000_000)


async def test_settings_asked_for_by_another_writing_of_an_address_are_the_same_settings(
    pool: RealPool,
):
    address = encode_segwit(0, bytes(range(20)), COIN)
    path = f"/api/v1/miners/{address.upper()}/payout-settings"
    async with pool.client() as client:
        answer = await client.put(path, content=b'{"threshold": "7"}', headers=OPERATOR)
    assert answer.status_code == 200, answer.text
    async with pool.store.read() as tx:
        query = select(payout_setting_table.c.wallet, payout_setting_table.c.threshold)
        assert (await tx.execute(query)).all() == [(address, 7 * 10**8)]


FORGERIES: list[tuple[dict[str, Any], str]] = [
    ({"wallet": BOB}, "invalid_signature"),
    ({"action": "PUT payout-settings"}, "invalid_signature"),
    ({"body": b'{"amount": "2"}'}, "invalid_signature"),
    ({"late_ms": -301_000}, "proof_expired"),
    ({"late_ms": 301_000}, "proof_expired"),
    ({"nonce": "short"}, "invalid_input"),
]


async def test_what_is_not_signed_for_this_request_moves_nothing(pool: RealPool):
    body = b'{"amount": "1"}'
    async with pool.client() as client:
        for change, code in FORGERIES:
            headers = signed(
                pool,
                change.get("action", "POST payout"),
                change.get("body", body),
                wallet=change.get("wallet", ANN),
                nonce=change.get("nonce", NONCE),
                at_ms=pool.clock.now_ms() + change.get("late_ms", 0),
            )
            answer = await client.post(PAYOUT, content=body, headers=headers)
            assert answer.json()["code"] == code, change
            assert answer.status_code in (400, 401)
    assert await owed(pool) == (3_300_000_000, 0)
    assert await count(pool, nonces) == 0


async def test_without_a_proof_nothing_moves(pool: RealPool):
    async with pool.client() as client:
        bare = await client.post(PAYOUT, json={})
        wrong = await client.post(PAYOUT, json={}, headers={"authorization": "Bearer wrong"})
    for answer in (bare, wrong):
        assert answer.status_code == 401
        assert answer.json()["code"] == "authentication_required"
        assert "www-authenticate" in answer.headers
    assert await owed(pool) == (3_300_000_000, 0)


async def test_a_signed_request_counts_once(pool: RealPool):
    body = b'{"threshold": "5"}'
    headers = signed(pool, "PUT payout-settings", body)
    async with pool.client() as client:
        first = await client.put(SETTINGS, content=body, headers=headers)
        again = await client.put(SETTINGS, content=body, headers=headers)
    assert first.json()["threshold"]["amount"] == "5.00000000"
    assert (again.status_code, again.json()["code"]) == (401, "nonce_used")


async def test_the_same_key_and_body_get_the_same_answer(pool: RealPool):
    body = b'{"amount": "1"}'
    headers = signed(pool, "POST payout", body) | {"idempotency-key": "k-1"}
    async with pool.client() as client:
        first = await client.post(PAYOUT, content=body, headers=headers)
        again = await client.post(PAYOUT, content=body, headers=headers)
        other = b'{"amount": "2"}'
        reused = await client.post(
            PAYOUT,
            content=other,
            headers=signed(pool, "POST payout", other, nonce=NONCE + "2")
            | {"idempotency-key": "k-1"},
        )
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(pool, payout_table) == 1
    assert await owed(pool) == (3_200_000_000, 100_000_000)


async def test_a_refusal_is_not_kept_and_leaves_nothing(pool: RealPool):
    body = b'{"amount": "40"}'
    headers = signed(pool, "POST payout", body) | {"idempotency-key": "k-2"}
    async with pool.client() as client:
        answer = await client.post(PAYOUT, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "payout_balance")
    assert await count(pool, idempotency) == await count(pool, nonces) == 0


async def test_an_expired_key_is_a_new_request(pool: RealPool):
    headers = OPERATOR | {"idempotency-key": "k-3"}
    async with pool.client() as client:
        await client.post(PAYOUT, json={"amount": "1"}, headers=headers)
        pool.clock.advance(25 * 3600)
        late = await client.post(PAYOUT, json={"amount": "2"}, headers=headers)
    assert (late.status_code, late.json()["code"]) == (409, "payout_open")


async def test_the_operators_key_opens_every_address(pool: RealPool):
    async with pool.client() as client:
        answer = await client.post(PAYOUT, json={}, headers=OPERATOR)
        changed = await client.put(SETTINGS, json={"automatic": False}, headers=OPERATOR)
    assert answer.status_code == 201
    assert changed.json()["automatic"] is False
    assert await owed(pool) == (0, 3_300_000_000)


async def test_a_new_payout_address_waits(pool: RealPool):
    body = json.dumps({"address": EVE.address}).encode()
    async with pool.client() as client:
        answer = await client.put(
            SETTINGS, content=body, headers=signed(pool, "PUT payout-settings", body)
        )
        nonsense = await client.put(SETTINGS, json={"address": "dev1qqq"}, headers=OPERATOR)
    assert answer.json()["address"] == ANN.address
    assert answer.json()["new_address"] == EVE.address
    assert answer.json()["address_change_at"] is not None
    assert (nonsense.status_code, nonsense.json()["code"]) == (400, "invalid_address")


async def sign_in(client, wallet) -> str:
    asked = (await client.post("/api/v1/auth/challenge", json={"wallet": wallet.address})).json()
    answer = await client.post(
        "/api/v1/auth/session",
        json={
            "wallet": wallet.address,
            "nonce": asked["nonce"],
            "signature": wallet.sign(asked["message"]),
        },
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


async def test_a_signed_in_address_sees_its_workers_and_asks_for_its_payout(pool: RealPool):
    async with pool.client() as client:
        token = await sign_in(client, ANN)
        client.headers["authorization"] = f"Bearer {token}"
        workers = await client.get("/api/workers")
        asked = await client.post("/api/payouts", json={"amount": "1"})
        payouts = await client.get("/api/payouts")
        await client.delete("/api/v1/auth/session")
        after = await client.get("/api/workers")
    assert [item["worker_name"] for item in workers.json()["items"]] == ["rig-1", "rig-2"]
    assert asked.json()["wallet"] == ANN.address
    assert payouts.json()["items"] == [asked.json()]
    assert after.status_code == 401


async def test_a_challenge_is_good_once_briefly_and_for_its_address(pool: RealPool):
    async with pool.client() as client:
        asked = (await client.post("/api/v1/auth/challenge", json={"wallet": ANN.address})).json()
        answer = {"wallet": ANN.address, "nonce": asked["nonce"]}
        forged = answer | {"signature": BOB.sign(asked["message"])}
        genuine = answer | {"signature": ANN.sign(asked["message"])}
        codes = [
            (await client.post("/api/v1/auth/session", json=body)).json().get("code")
            for body in (forged, genuine, genuine, genuine | {"wallet": BOB.address})
        ]
        assert codes == ["invalid_signature", None, "nonce_used", "proof_expired"]
        late = (await client.post("/api/v1/auth/challenge", json={"wallet": ANN.address})).json()
        pool.clock.advance(301)
        body = answer | {"nonce": late["nonce"], "signature": ANN.sign(late["message"])}
        assert (await client.post("/api/v1/auth/session", json=body)).json()["code"] == (
            "proof_expired"
        )


async def test_tokens_end_and_are_stored_only_as_hashes(pool: RealPool):
    async with pool.client() as client:
        token = await sign_in(client, BOB)
        async with pool.store.read() as tx:
            stored = [str(tuple(row)) for row in await tx.execute(select(sessions))]
        assert len(stored) == 1
        assert token not in stored[0]
        pool.clock.advance(1801)
        answer = await client.get("/api/workers", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401

"""A wallet signs in, sees its own position and moves it; nobody else does."""

from __future__ import annotations

import json
from typing import Any

import httpx

from millpond.chains.evm.messages import MAGIC
from millpond.risk import Limits, Scope
from millpond.staking.withdrawals import rows as withdrawal_rows
from tests.api.real_pool import ANN as MINER
from tests.api.staked import ANN, BOB, EVE, HOST, ONE, OPERATOR, POOL, VAULT, Platform, Staker


async def challenge(client: httpx.AsyncClient, wallet: str, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api/auth/challenge", json={"wallet": wallet, **body})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def session(
    client: httpx.AsyncClient, wallet: str, told: dict[str, Any], signature: str
) -> httpx.Response:
    body = {"wallet": wallet, "nonce": told["nonce"], "signature": signature}
    return await client.post("/api/auth/session", json=body)


async def test_the_text_to_sign_names_site_account_chain_and_time(client: httpx.AsyncClient):
    told = await challenge(client, ANN.address.lower())
    lines = told["message"].splitlines()
    assert lines[0] == f"{HOST} wants you to sign in with your Ethereum account:"
    assert lines[1] == ANN.address
    assert f"URI: http://{HOST}" in lines
    assert "Chain ID: 31337" in lines
    assert f"Nonce: {told['nonce']}" in lines
    assert lines[-1] == f"Expiration Time: {told['expires_at']}"


async def test_only_the_wallets_signature_over_that_text_opens_a_session(
    platform: Platform, client: httpx.AsyncClient
):
    told = await challenge(client, ANN.address)
    text = told["message"]
    forged = [
        EVE.sign(text),
        ANN.sign(text.replace("31337", "1")),
        ANN.sign(text.replace(HOST, "evil.example")),
        "0x" + "00" * 65,
        "0x12",
        "nonsense",
    ]
    for signature in forged:
        answer = await session(client, ANN.address, told, signature)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")
    opened = await session(client, ANN.address, told, ANN.sign(text))
    assert (opened.status_code, opened.json()["pool_id"]) == (201, "evm:31337")
    again = await session(client, ANN.address, told, ANN.sign(text))
    assert again.json()["code"] == "nonce_used"
    platform.mining.clock.advance(301)
    late = await challenge(client, ANN.address)
    platform.mining.clock.advance(301)
    answer = await session(client, ANN.address, late, ANN.sign(late["message"]))
    assert answer.json()["code"] == "proof_expired"


async def test_a_text_never_names_a_strangers_site(platform: Platform, client: httpx.AsyncClient):
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8080",
        "evil@localhost",
        "",
        "[::1",
    ):
        answer = await client.post(
            "/api/auth/challenge", json={"wallet": ANN.address}, headers={"host": host}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "sign_in_domain"), host
    elsewhere = {"wallet": ANN.address, "chain_id": 1}
    answer = await client.post("/api/auth/challenge", json=elsewhere)
    assert answer.status_code == 404


async def test_a_contract_wallet_signs_in_if_it_says_so_itself(
    platform: Platform, client: httpx.AsyncClient
):
    safe = "0x9999999999999999999999999999999999999999"
    told = await challenge(client, safe)
    signature = "0x" + "ab" * 130
    for said in (b"", bytes(32), MAGIC[:4], MAGIC[:4] + b"\x01" * 28, b"\xff" * 32):
        platform.nodes.contract_wallets[safe] = said
        answer = await session(client, safe, told, signature)
        assert answer.json()["code"] == "invalid_signature", said
    platform.nodes.contract_wallets[safe] = MAGIC
    assert (await session(client, safe, told, signature)).status_code == 201


async def test_sessions_of_miners_and_of_wallets_are_not_mixed_up(
    platform: Platform, client: httpx.AsyncClient
):
    wallet = await platform.sign_in(client, ANN)
    for path in ("workers", "payouts"):
        assert (await client.get(f"/api/{path}", headers=wallet)).status_code == 403
    told = await challenge(client, MINER.address)
    signed = {
        "wallet": MINER.address,
        "nonce": told["nonce"],
        "signature": MINER.sign(told["message"]),
    }
    opened = (await client.post("/api/auth/session", json=signed)).json()
    miner = {"authorization": f"Bearer {opened['token']}"}
    assert (await client.get("/api/workers", headers=miner)).status_code == 200
    path = f"/api/pools/{POOL}/balance/{ANN.address}"
    assert (await client.get(path, headers=miner)).status_code == 403


async def test_a_user_reads_only_their_own_position(platform: Platform, client: httpx.AsyncClient):
    own, other = [await platform.sign_in(client, who) for who in (ANN, BOB)]
    path = f"/api/pools/{POOL}/balance/{ANN.address.lower()}"
    told = await client.get(path, headers=own)
    assert told.headers["cache-control"] == "no-store"
    position = told.json()
    assert position["staked"]["units"] == position["available"]["units"] == str(300 * ONE)
    assert position == (await client.get(path, headers=OPERATOR)).json()
    refused = await client.get(path, headers=other)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await client.get(path)).status_code == 401
    rewards = (await client.get(f"/api/pools/{POOL}/rewards/{ANN.address}", headers=own)).json()
    lines = await client.get(f"/api/pools/{POOL}/rewards/{ANN.address}/epochs", headers=own)
    earned = [int(line["earned"]["units"]) for line in lines.json()["items"]]
    assert sum(earned) == int(rewards["earned"]["units"]) > 0
    assert rewards["claimable"] == rewards["earned"]
    events = (await client.get(f"/api/pools/{POOL}/events/{ANN.address}", headers=own)).json()
    assert [each["kind"] for each in events["items"]] == ["deposit"]


async def test_a_deposit_is_tried_out_and_answered_with_what_to_sign(
    platform: Platform, client: httpx.AsyncClient
):
    own = await platform.sign_in(client, ANN)
    path = f"/api/pools/{POOL}/deposit"
    made = (await client.post(path, json={"amount": "2.5"}, headers=own)).json()
    assert [(each["what"], each["simulated"]) for each in made["transactions"]] == [
        ("approve", True),
        ("deposit", False),
    ]
    assert made["wallet"] == ANN.address
    assert made["permit"]["primaryType"] == "Permit"
    platform.nodes.allowance = 3 * ONE
    made = (await client.post(path, json={"amount": "2.5"}, headers=own)).json()
    assert [(each["what"], each["gas"]) for each in made["transactions"]] == [("deposit", 60_000)]
    platform.nodes.refuses = "paused"
    refused = await client.post(path, json={"amount": "2.5"}, headers=own)
    assert (refused.status_code, refused.json()["code"]) == (409, "staking_deposit_refused")
    assert "paused" in refused.json()["detail"]
    too_much = await client.post(path, json={"amount": "100000"}, headers=own)
    assert too_much.json()["code"] == "staking_deposit_refused"
    other = {"amount": "1", "wallet": BOB.address}
    assert (await client.post(path, json=other, headers=own)).status_code == 403


async def test_what_the_limits_refuse_is_written_down_though_nothing_else_is(either: Platform):
    async with either.client() as client:
        async with either.store.begin() as tx:
            await either.rooms.risk.set_limits(
                tx, "test", Scope.pool(POOL), "BTCD", Limits(withdrawal_cap=ONE, deposit_cap=ONE)
            )
        own = await either.sign_in(client, ANN)
        for act, code in (("deposit", "risk_deposit_cap"), ("withdraw", "risk_withdrawal_cap")):
            answer = await client.post(
                f"/api/pools/{POOL}/{act}", json={"amount": "2"}, headers=own
            )
            assert (answer.status_code, answer.json()["code"]) == (409, code)
        found = (await client.get("/api/admin/violations", headers=OPERATOR)).json()["items"]
        assert {(each["rule"], each["user"]) for each in found} == {
            ("withdrawal_cap", ANN.address),
            ("deposit_cap", ANN.address),
        }
        gauges = (await client.get(f"/api/pools/{POOL}/risk")).json()["limits"][0]["gauges"]
        assert {gauge["rule"] for gauge in gauges} >= {"withdrawal_cap", "deposit_cap"}


async def test_a_pool_that_is_not_there_is_not_paused(either: Platform):
    async with either.client() as client:
        wish = {"scope": "pool:btdc", "function": "deposit", "reason": "a slip of the pen"}
        answer = await client.post("/api/admin/risk/pause", json=wish, headers=OPERATOR)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await client.get("/api/admin/holds", headers=OPERATOR)).json()["items"] == []


async def test_limits_are_set_in_base_units_or_in_whole_ones(either: Platform):
    wish = {"scope": f"pool:{POOL}", "asset": "BTCD", "reason": "carefully"}

    async def put(client: httpx.AsyncClient, **changed: Any) -> Any:
        return await client.put("/api/admin/risk/limits", json=wish | changed, headers=OPERATOR)

    async with either.client() as client:
        limits = {"deposit_cap": "1.5", "change_bps": "250", "outflow_window_s": "60"}
        done = await put(client, limits=limits, amounts="whole")
        assert done.json()["after"] == limits | {"deposit_cap": str(ONE + ONE // 2)}
        done = await put(client, limits={"deposit_cap": "7"})
        assert (done.json()["before"]["change_bps"], done.json()["after"]) == (
            "250",
            {"deposit_cap": "7"},
        )
        for status, wrong in (
            (400, {"limits": {"deposit_cap": "1.5"}}),
            (400, {"limits": {"change_bps": "1.5"}, "amounts": "whole"}),
            (400, {"limits": {"deposit_cap": "0." + "0" * 18 + "1"}, "amounts": "whole"}),
            (400, {"limits": {"no_such": "1"}, "amounts": "whole"}),
            (400, {"limits": {"deposit_cap": "1"}, "amounts": "whole", "asset": "OTHER"}),
            (400, {"limits": {"deposit_cap": "-1"}}),
            (400, {"limits": {}, "amounts": "some"}),
            (404, {"limits": {}, "scope": "pool:not-there"}),
            (404, {"limits": {}, "scope": "product:other"}),
        ):
            assert (await put(client, **wrong)).status_code == status, wrong
        async with either.store.read() as tx:
            kept = await either.rooms.risk.limits(tx, Scope.pool(POOL), "BTCD")
        assert kept == Limits(deposit_cap=7)


async def asked(client: httpx.AsyncClient, path: str, body: Any, headers: Any, key: str) -> Any:
    return await client.post(
        path,
        content=json.dumps(body),
        headers={"content-type": "application/json", "idempotency-key": key, **headers},
    )


async def test_a_withdrawal_is_asked_for_once_under_a_key(either: Platform):
    async with either.client() as client:
        own = await either.sign_in(client, ANN)
        path = f"/api/pools/{POOL}/withdraw"
        first = await asked(client, path, {"amount": "100"}, own, "k1")
        again = await asked(client, path, {"amount": "100"}, own, "k1")
        changed = await asked(client, path, {"amount": "50"}, own, "k1")
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"
        assert changed.json()["code"] == "idempotency_key_reused"
        second = await client.post(
            "/api/pool/withdraw", json={"pool_id": POOL, "amount": "5"}, headers=own
        )
        assert second.json()["code"] == "staking_withdrawal_open"
        balance = await client.get(f"/api/pools/{POOL}/balance/{ANN.address}", headers=own)
        assert balance.json()["reserved"]["units"] == str(100 * ONE)
        listed = await client.get(f"/api/pools/{POOL}/withdrawals/{ANN.address}", headers=own)
        assert listed.json()["items"] == [first.json()["withdrawal"]]
        queue = await client.get("/api/admin/withdrawals?status=pending", headers=OPERATOR)
        assert queue.json()["items"] == listed.json()["items"]
        cancelled = await client.post(
            f"/api/admin/withdrawals/{first.json()['withdrawal']['id']}/cancel",
            json={"reason": "asked by phone"},
            headers=OPERATOR,
        )
        assert cancelled.json()["state"] == "failed"
        balance = await client.get(f"/api/pools/{POOL}/balance/{ANN.address}", headers=own)
        assert balance.json()["available"]["units"] == str(300 * ONE)


async def test_a_signed_request_moves_a_position_once(either: Platform):
    async with either.client() as client:
        body = json.dumps({"wallet": ANN.address, "amount": "7"}).encode()
        path = f"/api/v1/pools/{POOL}/withdraw"
        now_ms = either.mining.clock.now_ms()
        pool, vault = either.pools[POOL], either.pools[VAULT]

        def signed(who: Staker, **changes: Any) -> dict[str, str]:
            values: dict[str, Any] = {"at_ms": now_ms, "nonce": "n" * 20} | changes
            return who.headers(
                values.pop("pool", pool), values.pop("action", "POST withdraw"), body, **values
            )

        wrong = [
            signed(EVE),
            signed(ANN, pool=vault),
            signed(ANN, action="POST claim"),
            signed(ANN, at_ms=now_ms - 301_000),
            signed(ANN) | {"millpond-nonce": "m" * 20},
        ]
        for headers in wrong:
            assert (await client.post(path, content=body, headers=headers)).status_code == 401
        assert (
            await client.post(path, content=body + b" ", headers=signed(ANN))
        ).status_code == 401
        done = await client.post(path, content=body, headers=signed(ANN))
        assert done.status_code == 201, done.text
        again = await client.post(path, content=body, headers=signed(ANN))
        assert again.json()["code"] == "nonce_used"
        async with either.store.read() as tx:
            assert len(await withdrawal_rows.listed(tx, pool_id=POOL)) == 1


async def test_leaving_by_oneself_is_a_transaction_to_sign(
    platform: Platform, client: httpx.AsyncClient
):
    own = await platform.sign_in(client, ANN)
    direct = {"amount": "1", "myself": True}
    for pool_id, body, what in ((POOL, direct, "withdraw"), (VAULT, {}, "redeem")):
        answer = await client.post(f"/api/pools/{pool_id}/withdraw", json=body, headers=own)
        made = answer.json()
        assert made["withdrawal"] is None
        assert [each["what"] for each in made["transactions"]] == [what]
    async with platform.store.read() as tx:
        assert await withdrawal_rows.listed(tx) == []


async def test_rewards_are_claimed_once_and_a_vaults_need_a_root_on_chain(either: Platform):
    async with either.client() as client:
        own = await either.sign_in(client, ANN)
        path = f"/api/pools/{POOL}/rewards/claim"
        first = await client.post(path, json={}, headers=own)
        again = await client.post(path, json={}, headers=own)
        assert first.status_code == again.status_code == 201
        assert first.json()["claim"] == again.json()["claim"]
        rewards = (await client.get(f"/api/pools/{POOL}/rewards/{ANN.address}", headers=own)).json()
        assert (rewards["claimable"]["units"], rewards["claiming"]) == ("0", rewards["earned"])
        listed = await client.get(f"/api/pools/{POOL}/claims/{ANN.address}", headers=own)
        assert listed.json()["items"] == [first.json()["claim"]]
        vault = await client.post(f"/api/pools/{VAULT}/rewards/claim", json={}, headers=own)
        assert (vault.status_code, vault.json()["code"]) == (404, "staking_no_rewards")

"""The JSON that the staking chapter names, out of an indexed chain and closed epochs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from millpond.staking.rewards.merkle import proves
from millpond.staking.rewards.statement import statement_hash
from tests.api.staked import ANN, BOB, EVE, ONE, OPERATOR, POOL, VAULT, Platform
from tests.mining.share_log import POOL as MINING


async def get(client: httpx.AsyncClient, path: str, status: int = 200, **options: Any) -> Any:
    answer = await client.get(f"/api/{path}", **options)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_one_list_has_the_pools_of_both_products(platform: Platform):
    async with platform.client() as client:
        listed = (await get(client, "pools"))["items"]
        assert [(pool["id"], pool["product"]) for pool in listed] == [
            (MINING, "mining"),
            (POOL, "staking"),
            (VAULT, "staking"),
        ]
        for pool in listed:
            assert await get(client, f"pools/{pool['id']}") == pool
            only = (await get(client, "pools", params={"product": pool["product"]}))["items"]
            assert pool in only
            assert {each["product"] for each in only} == {pool["product"]}
        problem = await get(client, "pools/other", 404)
    assert problem["code"] == "not_found"


async def test_a_pool_states_its_terms_and_true_figures(either: Platform):
    async with either.client() as client:
        pool = await get(client, f"pool/btcd/info/{POOL}")
        assert pool == await get(client, f"pools/{POOL}")
        vault = await get(client, f"pool/BTCD/info/{VAULT}")
        await get(client, f"pool/other/info/{POOL}", 404)
    assert pool["tvl"] == {
        "asset": "BTCD",
        "amount": "400.000000000000000000",
        "units": str(400 * ONE),
    }
    assert (pool["kind"], pool["stakers"], pool["share"]) == ("direct", 2, None)
    # A token a minute on 400: 525,600 / 400 a year.
    assert pool["apr"] == "1314.000000"
    assert (pool["compounds"], pool["weight"]) == (525_600, "1.000000")
    assert (vault["kind"], vault["share"]) == ("vault", "vBTCD")
    assert vault["stopped"] == ""


async def test_what_the_chain_says_of_a_wallet_is_for_all(platform: Platform):
    async with platform.client() as client:
        user = await get(client, f"pool/btcd/user/{ANN.address.lower()}")
        nobody = await get(client, f"pool/btcd/user/{EVE.address}")
        await get(client, f"pool/other/user/{EVE.address}", 404)
        await get(client, "pool/btcd/user/0x12", 400)
    direct = user["pools"][0]
    assert user["wallet"] == ANN.address
    assert direct["staked"]["units"] == str(300 * ONE)
    assert int(direct["total_earned"]["units"]) > 0
    assert direct["total_earned"] == direct["pending_rewards"]
    assert int(user["total_earned"]["units"]) == sum(
        int(pool["total_earned"]["units"]) for pool in user["pools"]
    )
    assert [nobody[name]["units"] for name in ("staked", "pending_rewards", "total_earned")] == [
        "0",
        "0",
        "0",
    ]


async def test_statements_are_the_bytes_that_their_hash_names(either: Platform):
    async with either.client() as client:
        epochs = (await get(client, f"pools/{POOL}/epochs"))["items"]
        newest = epochs[0]
        assert await get(client, f"pools/{POOL}/epochs/{newest['epoch']}") == newest
        answer = await client.get(f"/api/pools/{POOL}/epochs/{newest['epoch']}/statement")
        await get(client, f"pools/{POOL}/epochs/9999/statement", 404)
        first = await get(client, f"pools/{POOL}/epochs", params={"limit": 1})
        rest = await get(
            client, f"pools/{POOL}/epochs", params={"limit": 200, "cursor": first["next"]}
        )
    assert [*first["items"], *rest["items"]] == epochs
    assert answer.headers["millpond-statement-hash"] == newest["statement_hash"]
    assert statement_hash(answer.content) == newest["statement_hash"]
    document = answer.json()
    assert document["root"] == newest["root"]
    assert {line["wallet"] for line in document["accounts"]} == {ANN.address, BOB.address}


async def test_a_proof_leads_to_the_root(platform: Platform):
    async with platform.client() as client:
        proof = await get(client, f"pools/{POOL}/proof/{BOB.address}")
        problem = await get(client, f"pools/{POOL}/proof/{EVE.address}", 404)
    siblings = [bytes.fromhex(each[2:]) for each in proof["proof"]]
    root = bytes.fromhex(proof["root"][2:])
    assert proves(root, BOB.address, int(proof["cumulative"]["units"]), siblings)
    assert problem["code"] == "staking_no_rewards"


@pytest.mark.parametrize(
    "path", ["pools/a%00b", "pools/a%00b/events", "pools/a%00b/risk", "pool/btcd/user/%00"]
)
async def test_a_zero_byte_in_an_address_is_the_askers_fault(platform: Platform, path: str):
    async with platform.client() as client:
        answer = await client.get(f"/api/v1/{path}")
        assert answer.status_code in {400, 404}, answer.text
        told = await client.post(
            "/api/v1/pool/withdraw", json={"pool_id": "a\0b", "amount": "1"}, headers=OPERATOR
        )
        assert told.status_code in {400, 404}, told.text

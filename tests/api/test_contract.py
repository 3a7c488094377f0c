"""The JSON that the mining chapter names, out of real shares, blocks and balances."""

import pytest

from millpond.api.pagination import encode_cursor
from tests.api.real_pool import ANN, BOB, EVE, REWARD, RealPool
from tests.mining.share_log import POOL


async def get(pool: RealPool, path: str, status: int = 200):
    async with pool.client() as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_stats_have_the_fields_of_the_chapter_and_true_figures(pool: RealPool):
    stats = await get(pool, "/api/v1/stats")
    assert stats["total_miners"] == stats["active_miners"] == 2
    assert stats["total_workers"] == stats["active_workers"] == 3
    assert stats["total_shares_24h"] == 120
    assert stats["pool_hashrate"] > 0
    assert len(stats["current_target"]) == 64
    assert stats["pools"][0]["rejected_shares_24h"] == 12
    assert await get(pool, "/api/stats") == stats, "the unversioned name is the same"


async def test_a_pool_states_its_terms(pool: RealPool):
    listed = await get(pool, "/api/v1/pools")
    (item,) = listed["items"]
    assert item == await get(pool, f"/api/v1/pools/{POOL}")
    assert (item["scheme"], item["fee_bps"], item["coin"]) == ("pplns", 100, "devcoin")
    assert item["payout_threshold"] == {"asset": "DEV", "amount": "0.01000000", "units": "1000000"}
    assert item["stats"]["blocks_found"] == 3
    assert item["stats"]["blocks_pending"] == 1


async def test_blocks_tell_their_life(pool: RealPool):
    page = await get(pool, f"/api/v1/pools/{POOL}/blocks")
    states = {item["block_hash"][:2]: item["state"] for item in page["items"]}
    assert states == {"aa": "mature", "bb": "orphaned", "cc": "confirming"}
    newest = page["items"][0]
    assert newest["reward"]["units"] == str(REWARD)
    assert newest["effort"] > 0
    assert newest["confirmations_needed"] == 6
    assert await get(pool, f"/api/v1/blocks/{'CC' * 32}") == newest
    await get(pool, f"/api/v1/blocks/{'dd' * 32}", 404)


async def test_every_block_is_on_exactly_one_page(pool: RealPool):
    seen, cursor = [], ""
    for _ in range(5):
        page = await get(pool, f"/api/v1/pools/{POOL}/blocks?limit=1{cursor}")
        seen += [item["block_hash"][:2] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["cc", "bb", "aa"]


@pytest.mark.parametrize("path", ["blocks", "miners"])
@pytest.mark.parametrize("place", [2**63, 2**64, 10**200, -1])
async def test_a_cursor_beyond_every_column_is_refused(pool: RealPool, path: str, place: int):
    cursor = encode_cursor(place)
    for url in (f"pools/{POOL}/{path}", f"miners/{ANN.address}/shares/receipts"):
        problem = await get(pool, f"/api/v1/{url}?cursor={cursor}", 400)
        assert problem["code"] == "invalid_cursor"


async def test_a_miners_balance_is_the_ledgers(pool: RealPool):
    miner = await get(pool, f"/api/v1/miners/{ANN.address}")
    (balance,) = miner["balances"]
    # 99 % of a block, two thirds of the work.
    assert balance["available"]["units"] == "3300000000"
    assert balance["immature"]["units"] == "3300000000"
    assert balance["pending"]["units"] == "0"
    assert miner["pools"][0]["shares_24h"] == 80
    assert miner["settings"][0]["threshold"]["amount"] == "0.01000000"
    assert await get(pool, f"/api/miners/{ANN.address}/balance/DEV") == balance
    assert (await get(pool, f"/api/miners/{ANN.address}/balances"))["items"] == [balance]
    await get(pool, f"/api/miners/{ANN.address}/balance/LTC", 404)


async def test_workers_come_in_pages_and_by_name(pool: RealPool):
    first = await get(pool, f"/api/v1/miners/{ANN.address}/workers?limit=1")
    path = f"/api/v1/miners/{ANN.address}/workers?limit=1&cursor={first['next']}"
    second = await get(pool, path)
    names = [page["items"][0]["worker_name"] for page in (first, second)]
    assert names == ["rig-1", "rig-2"]
    assert second["next"] is None
    bare = (await get(pool, f"/api/v1/miners/{BOB.address}/workers"))["items"][0]
    assert (bare["worker_name"], bare["rejected_24h"]) == ("", 12)


async def test_miners_of_a_pool_the_fastest_first(pool: RealPool):
    page = await get(pool, f"/api/v1/pools/{POOL}/miners?limit=1")
    assert [item["wallet"] for item in page["items"]] == [ANN.address]
    rest = await get(pool, f"/api/v1/pools/{POOL}/miners?limit=1&cursor={page['next']}")
    assert [item["wallet"] for item in rest["items"]] == [BOB.address]


@pytest.mark.parametrize(
    ("path", "shares"),
    [
        (f"pools/{POOL}/performance?window=1h", 120),
        (f"miners/{ANN.address}/performance?window=24h", 80),
        (f"miners/{ANN.address}/performance?window=24h&worker={ANN.address}.rig-1", 40),
    ],
)
async def test_series_add_up_to_the_shares(pool: RealPool, path: str, shares: int):
    pool.clock.advance(120)
    series = await get(pool, f"/api/v1/{path}")
    assert sum(point["shares"] for point in series["points"]) == shares
    assert [p["at"] for p in series["points"]] == sorted(p["at"] for p in series["points"])


async def test_rejects_by_reason(pool: RealPool):
    (item,) = (await get(pool, f"/api/v1/pools/{POOL}/rejects"))["items"]
    assert (item["count"], item["fraction"]) == (12, 1.0)


async def test_receipts_are_groups_of_the_chained_log(pool: RealPool):
    page = await get(pool, f"/api/v1/miners/{BOB.address}/shares/receipts?limit=3")
    newest, older = page["items"][:2]
    assert newest["previous_hash"] == older["group_hash"]
    assert (newest["shares"], newest["group_shares"]) == (10, 30)
    assert int(newest["difficulty"]) == 10 << 34
    rest = await get(
        pool, f"/api/v1/miners/{BOB.address}/shares/receipts?limit=3&cursor={page['next']}"
    )
    assert [item["sequence"] for item in rest["items"]] == [1]
    assert (await get(pool, f"/api/v1/miners/{EVE.address}/shares/receipts"))["items"] == []


async def test_a_proof_shows_the_part_of_an_address_and_its_work(pool: RealPool):
    proof = await get(pool, f"/api/v1/miners/{BOB.address}/proofs/{'aa' * 32}")
    (part,) = proof["allocations"]
    assert part["wallet"] == BOB.address
    assert part["amount"]["units"] == "1650000000"
    assert part["state"] == "posted"
    assert proof["receipts"][0]["sequence"] == 1, "the window ends with the block's own share"
    immature = await get(pool, f"/api/v1/miners/{BOB.address}/proofs/{'cc' * 32}")
    assert immature["allocations"][0]["state"] == "immature"


async def test_an_address_that_never_mined_is_no_error(pool: RealPool):
    miner = await get(pool, f"/api/v1/miners/{EVE.address}")
    assert miner["pools"] == []
    assert miner["balances"][0]["available"]["units"] == "0"


async def test_a_read_with_the_known_etag_is_not_sent_again(pool: RealPool):
    async with pool.client() as client:
        first = await client.get(f"/api/v1/pools/{POOL}/blocks")
        again = await client.get(
            f"/api/v1/pools/{POOL}/blocks", headers={"if-none-match": first.headers["etag"]}
        )
        await pool.mine(block="dd" * 32)
        changed = await client.get(
            f"/api/v1/pools/{POOL}/blocks", headers={"if-none-match": first.headers["etag"]}
        )
    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200

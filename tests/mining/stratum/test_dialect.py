"""A miner says hello, gets work and returns shares, whatever program it is."""

import pytest

from tests.mining.stratum.helpers import EASY, Pool


async def test_a_miner_subscribes_authorizes_and_gets_difficulty_before_work():
    async with Pool() as pool:
        client = await pool.client()
        answer = await client.call("mining.subscribe", "cpuminer/2.5")
        assert answer["error"] is None
        subscriptions, extranonce1, size = answer["result"]
        assert [s[0] for s in subscriptions] == ["mining.set_difficulty", "mining.notify"]
        assert len(bytes.fromhex(extranonce1)) == 4 == size
        assert (await client.call("mining.authorize", "wallet.rig", ""))["result"] is True
        assert (await client.read())["params"] == [EASY]
        notify = await client.until("mining.notify")
        assert len(notify) == 9
        assert notify[8] is True


async def test_the_answer_to_a_share_waits_for_the_log():
    async with Pool() as pool:
        client = await pool.miner()
        pool.log.automatic = False
        client.send_request("mining.submit", *client.share(pool.current))
        assert (await client.call("mining.ping"))["result"] == "pong"
        assert len(pool.log.waiters) == 1
        pool.log.commit()
        assert (await client.answer())["result"] is True
        assert pool.log.shares[0][0] == "wallet.rig"


@pytest.mark.parametrize("number", ["4", '"4"', "null", '"auth"', "0", "-1", "1.5", '"xnsub"'])
async def test_ids_come_back_as_they_were_sent(number: str):
    async with Pool() as pool:
        client = await pool.client()
        client.send(b'{"id":%b,"method":"mining.ping","params":[]}\n' % number.encode())
        assert (await client.reader.readline()).startswith(b'{"id":%b,' % number.encode())


async def test_version_rolling_is_negotiated_within_the_mask():
    async with Pool() as pool:
        client = await pool.client()
        answer = await client.call(
            "mining.configure",
            ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "unknown"],
            {"version-rolling.mask": "FFFFFFFF", "minimum-difficulty.value": 1},
        )
        assert answer["result"] == {
            "version-rolling": True,
            "version-rolling.mask": "1fffe000",
            "minimum-difficulty": True,
            "subscribe-extranonce": True,
            "unknown": False,
        }

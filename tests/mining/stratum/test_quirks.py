"""What real mining programs send, and what is turned away."""

import asyncio
import json
from typing import Any, cast

import pytest

from millpond.clock import ManualClock
from millpond.mining.stratum import StratumLimits, VardiffSettings
from millpond.mining.stratum.extranonce import ExtranonceAllocator
from tests.mining.stratum.helpers import EASY, Pool


async def test_minerd_uses_one_id_for_every_share():
    async with Pool() as pool:
        client = await pool.client()
        client.send(b'{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}\n')
        assert (await client.answer())["id"] == 1
        client.send(b'{"id": 2, "method": "mining.authorize", "params": ["wallet", ""]}\n')
        assert await client.answer() == {"id": 2, "result": True, "error": None}
        client.worker = "wallet"
        await client.until("mining.notify")
        for _ in range(3):
            client.send_request("mining.submit", *client.share(pool.current), number=4)
            assert (await client.answer())["id"] == 4


async def test_bfgminer_tries_tls_first_and_comes_back_in_plain_text():
    async with Pool() as pool:
        client = await pool.client()
        client.send(bytes.fromhex("16030100f1010000ed0303") + bytes(200))
        assert await client.closed() == b""
        again = await pool.client()
        again.send(
            b'{"id":null,"method":"mining.suggest_target","params":["' + b"f" * 64 + b'"]}\n'
        )
        assert (await again.answer())["result"] is True
        again.send_request("mining.subscribe", number=0)
        assert (await again.answer())["id"] == 0
        again.send_request("mining.extranonce.subscribe", number="xnsub")
        assert await again.answer() == {"id": "xnsub", "result": True, "error": None}
        again.send_request("mining.authorize", "wallet.b", "x", number="auth")
        assert (await again.answer())["id"] == "auth"
        await again.until("mining.notify")


@pytest.mark.parametrize(
    "line",
    [
        b'{"method":"mining.subscribe"}',
        b'{"id":1,"method":"mining.subscribe","params":null}',
        b'{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[],"extra":{}}',
        b'  {"id":1,"method":"mining.subscribe","params":["x",null]}  \r',
        b'{"params":["x","not hex"],"method":"mining.subscribe","id":1}',
    ],
)
async def test_missing_and_superfluous_parts_are_no_obstacle(line: bytes):
    async with Pool() as pool:
        client = await pool.client()
        client.send(line + b"\n")
        assert (await client.answer())["error"] is None


async def test_authorizing_before_subscribing_works_too():
    async with Pool() as pool:
        client = await pool.client()
        assert (await client.call("mining.authorize", "wallet.x"))["result"] is True
        await client.call("mining.subscribe")
        assert len(await client.until("mining.notify")) == 9


@pytest.mark.parametrize("password", ["d=1", "x,d=1", "x;diff=1.0;y", "D=2", "d=nan", "d=1e999"])
async def test_the_password_may_fix_the_difficulty(password: str):
    vardiff = VardiffSettings(start=0.5, minimum=EASY)
    async with Pool(vardiff=vardiff) as pool:
        client = await pool.client()
        await client.call("mining.subscribe")
        await client.call("mining.authorize", "wallet.x", password)
        fixed = "=1" in password and "1e" not in password
        assert await client.until("mining.set_difficulty") == [1 if fixed else 0.5]
        await client.call("mining.suggest_difficulty", 0.25)
        await client.call("mining.ping")
        changes = [n for n in client.notices if n["method"] == "mining.set_difficulty"]
        assert [n["params"] for n in changes] == ([] if fixed else [[0.25]])


async def test_a_minimum_and_a_suggestion_are_heeded_at_the_start():
    async with Pool(vardiff=VardiffSettings(start=0.1, minimum=EASY)) as pool:
        client = await pool.client()
        await client.call(
            "mining.configure", ["minimum-difficulty"], {"minimum-difficulty.value": 2}
        )
        await client.call("mining.subscribe")
        await client.call("mining.suggest_difficulty", "1.5")
        await client.call("mining.authorize", "wallet.x")
        assert await client.until("mining.set_difficulty") == [2]


async def test_a_session_is_resumed_with_its_extranonce():
    async with Pool() as pool:
        first, second = await pool.miner(), await pool.miner("wallet.other")
        assert first.extranonce1 != second.extranonce1
        stolen = await pool.client()
        answer = await stolen.call("mining.subscribe", "x", first.session_id)
        assert answer["result"][1] != first.extranonce1
        await first.close()
        while pool.server.connections > 2:
            await asyncio.sleep(0)
        back = await pool.client()
        answer = await back.call("mining.subscribe", "x", first.session_id)
        assert answer["result"][1] == first.extranonce1
        assert answer["result"][0][0][1] == first.session_id


def test_extranonces_are_never_given_twice_while_in_use():
    allocator = ExtranonceAllocator(prefix=7, key=b"k" * 32)
    taken = [allocator.take() for _ in range(1000)]
    assert len(set(taken)) == 1000
    assert {extranonce[0] for extranonce in taken} == {7}
    allocator.release(taken[0])
    assert allocator.resume(allocator.session_id(taken[0])) == taken[0]
    assert allocator.resume(allocator.session_id(taken[0])) is None
    for forged in ("", "00", "zz", taken[5].hex() + "00" * 8, allocator.session_id(taken[1])):
        assert allocator.resume(forged) is None


async def test_wrong_addresses_and_empty_names_are_refused_with_24():
    async with Pool() as pool:
        client = await pool.client()
        for name in ("bad.rig", "", None, 5, "x" * 300, "a\nb"):
            assert (await client.call("mining.authorize", name))["error"][0] == 24
        await client.call("mining.subscribe")
        fields = ["nobody", pool.current, "00000000", "00000000", "00000000"]
        assert (await client.call("mining.submit", *fields))["error"][0] == 24


async def test_submitting_before_subscribing_is_25():
    async with Pool() as pool:
        client = await pool.client()
        answer = await client.call("mining.submit", "w", "1", "00000000", "00000000", "00000000")
        assert answer["error"][0] == 25


async def test_small_requests_have_answers():
    async with Pool() as pool:
        client = await pool.miner()
        assert (await client.call("client.get_version"))["result"].startswith("millpond/")
        assert (await client.call("mining.get_transactions", pool.current))["result"] == []
        assert (await client.call("mining.get_transactions", "ff"))["error"][0] == 21
        assert (await client.call("mining.hashrate", 5))["error"][0] == 20
        pool.server.show_message("soon")
        assert await client.until("client.show_message") == ["soon"]
        pool.server.reconnect("example.org", 3333, 5)
        assert await client.until("client.reconnect") == ["example.org", 3333, 5]


async def test_several_workers_on_one_connection_are_credited_each():
    async with Pool(limits=StratumLimits(max_workers=2)) as pool:
        client = await pool.miner("wallet.a")
        assert (await client.call("mining.authorize", "wallet.b"))["result"] is True
        assert (await client.call("mining.authorize", "wallet.c"))["error"][0] == 24
        client.worker = "wallet.b"
        await client.submit(pool.current)
        assert [worker for worker, _, _ in pool.log.shares] == ["wallet.b"]


async def test_connections_are_limited_in_all_and_by_address():
    async with Pool(limits=StratumLimits(max_per_address=2)) as pool:
        await pool.miner()
        await pool.miner("wallet.2")
        third = await pool.client()
        assert await third.closed() == b""
        assert pool.server.stats.refused_connections == 1


async def test_invalid_shares_get_an_address_banned_for_a_while():
    limits = StratumLimits(invalid_window=10, ban_s=60.0)
    clock = ManualClock()
    async with Pool(limits=limits, clock=clock) as pool:
        miner = await pool.miner()
        for _ in range(10):
            miner.send_request("mining.submit", "wallet.rig", pool.current, "00", "00", "00")
        assert (await miner.closed()).count(b"error") == 10
        assert await (await pool.client()).closed() == b""
        clock.advance(61)
        await pool.miner()


async def test_stale_shares_are_nobodys_fault():
    async with Pool(limits=StratumLimits(invalid_window=5)) as pool:
        miner = await pool.miner()
        old = pool.current
        pool.job(height=101, prev="22" * 32)
        for _ in range(20):
            assert (await miner.submit(old))["error"][0] == 21
        assert (await miner.call("mining.ping"))["result"] == "pong"


async def test_silent_and_idle_connections_are_closed():
    clock = ManualClock()
    limits = StratumLimits(login_s=30.0, idle_s=600.0)
    async with Pool(limits=limits, clock=clock) as pool:
        miner = await pool.miner()
        silent = await pool.client()
        # The clock is moved by the server's own pauses between its rounds.
        assert await silent.closed() == b""
        assert await miner.closed() is not None
        assert pool.server.connections == 0


async def test_a_miner_that_does_not_read_is_cut_off():
    async with Pool(limits=StratumLimits(max_write_buffer=20_000)) as pool:
        miner = await pool.miner()
        cast("asyncio.Transport", miner.writer.transport).pause_reading()
        for number in range(20_000):
            pool.server.show_message(f"{number}" * 50)
            if pool.server.stats.slow_readers:
                break
        assert pool.server.stats.slow_readers == 1


async def test_a_new_block_reaches_everyone_even_when_news_overtake_each_other():
    async with Pool() as pool:
        miners = [await pool.miner(f"wallet.{n}") for n in range(300)]
        pool.job(height=101, prev="22" * 32)
        pool.job(height=101, prev="22" * 32)
        for miner in miners:
            clean: list[list[Any]] = []
            while not clean or clean[-1][0] != pool.current:
                clean.append(await miner.until("mining.notify"))
            # Whoever missed the first of the two is told to drop old work by the second.
            assert any(params[8] for params in clean)


async def test_lines_may_come_in_pieces():
    async with Pool() as pool:
        client = await pool.client()
        for byte in b'{"id":9,"method":"mining.ping","params":[]}\n':
            client.send(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert json.dumps((await client.answer())["id"]) == "9"

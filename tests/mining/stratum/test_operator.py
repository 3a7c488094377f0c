"""What the operator says to miners: messages, reconnects, new extranonces."""

import asyncio
import json

from millpond.mining.difficulty import from_float
from millpond.mining.stratum import ListenerSettings, StratumLimits, VardiffSettings
from tests.mining.stratum.helpers import EASY, Client, Pool


async def subscribed(pool: Pool, worker: str = "wallet.rig", password: str = "x") -> Client:
    """A miner that takes a new extranonce while it is connected."""
    client = await pool.miner(worker, password)
    assert (await client.call("mining.extranonce.subscribe"))["result"] is True
    return client


def used(pool: Pool) -> set[str]:
    """Extranonces that shares of the good jobs were checked with."""
    keys = {key for entry in pool.server.board.entries.values() for key in entry.seen}
    return {key[:4].hex() for key in keys}


async def until_taken(client: Client, name: str) -> None:
    """Submit shares until one meets the difficulty."""
    taken = False
    while not taken:
        taken = (await client.submit(name))["result"] is True


async def test_a_message_reaches_one_worker_one_wallet_or_all():
    async with Pool() as pool:
        one = await pool.miner("Wallet.one")
        other = await pool.miner("wallet.two")
        assert pool.server.show_message("first", "wallet.one") == 1
        assert pool.server.show_message("second", "wallet") == 2
        assert pool.server.show_message("third") == 2
        assert pool.server.show_message("none", "walle") == 0
        for client, texts in ((one, ["first", "second", "third"]), (other, ["second", "third"])):
            for text in texts:
                assert await client.until("client.show_message") == [text]


async def test_reconnect_leaves_out_what_stays_as_it_is():
    async with Pool() as pool:
        client = await pool.miner()
        assert pool.server.reconnect() == 1
        assert await client.until("client.reconnect") == []
        pool.server.reconnect(port=4444, wait_s=7)
        assert await client.until("client.reconnect") == [None, 4444, 7]


async def test_renumbering_gives_a_new_extranonce_or_asks_to_reconnect():
    async with Pool() as pool:
        follows = await subscribed(pool)
        configured = await pool.client()
        await configured.call("mining.configure", ["subscribe-extranonce"], {})
        await configured.login("wallet.b")
        stays = await pool.miner("wallet.c")
        assert pool.server.renumber(7) == (2, 1)
        for client in (follows, configured):
            extranonce1, size = await client.until("mining.set_extranonce")
            assert (extranonce1[:2], size) == ("07", 4)
            # In force with the job that comes after it.
            notify = await client.until("mining.notify")
            assert notify[0] != pool.current
            assert (await client.submit(notify[0]))["result"] is True
            assert extranonce1 in used(pool)
        assert await stays.until("client.reconnect") == []
        assert (await pool.miner("wallet.d")).extranonce1[:2] == "07"


async def test_shares_in_flight_count_with_the_extranonce_of_their_job():
    async with Pool() as pool:
        client = await subscribed(pool)
        before, old = pool.current, client.extranonce1
        share = client.share(before)
        assert (await client.call("mining.submit", *share))["result"] is True
        pool.server.renumber(9)
        new, _ = await client.until("mining.set_extranonce")
        renamed = (await client.until("mining.notify"))[0]
        late = client.share(before)
        assert (await client.call("mining.submit", *late))["result"] is True
        assert used(pool) == {old}
        # The same numbers with the new extranonce are another share, once.
        again = [share[0], renamed, *share[2:]]
        assert (await client.call("mining.submit", *again))["result"] is True
        assert used(pool) == {old, new}
        for repeated in (share, late, again, [late[0], before.upper(), *late[2:]]):
            assert (await client.call("mining.submit", *repeated))["error"][0] == 22
        pool.job()
        later = (await client.until("mining.notify"))[0]
        assert (await client.submit(later))["result"] is True
        assert {key[:4].hex() for key in pool.server.board.entries[later].seen} == {new}


async def test_a_change_of_difficulty_after_renumbering_keeps_both_terms():
    async with Pool(vardiff=VardiffSettings(start=EASY, minimum=EASY, target_s=3600.0)) as pool:
        client = await subscribed(pool)
        before, old = pool.current, client.extranonce1
        pool.server.renumber(3)
        new, _ = await client.until("mining.set_extranonce")
        renamed = (await client.until("mining.notify"))[0]
        await client.call("mining.suggest_difficulty", 2 * EASY)
        harder = (await client.until("mining.notify"))[0]
        assert len({before, renamed, harder}) == 3
        pool.log.shares.clear()
        for name, difficulty, extranonce1 in (
            (before, EASY, old),
            (renamed, EASY, new),
            (harder, 2 * EASY, new),
        ):
            pool.server.board.entries[before].seen.clear()
            await until_taken(client, name)
            assert used(pool) == {extranonce1}
            assert pool.log.shares[-1][2] == from_float(difficulty)


async def test_old_extranonces_are_bounded_and_released_when_their_jobs_are_gone():
    async with Pool() as pool:
        client = await subscribed(pool)
        first = pool.current
        for prefix in range(1, 8):
            pool.server.renumber(prefix)
            await client.until("mining.set_extranonce")
        # One in force and four earlier ones; the others' shares come too late.
        assert len(pool.server.extranonces) == 5
        assert (await client.submit(first))["error"][0] == 21
        (session,) = pool.server._sessions
        pool.job(prev="22" * 32, height=101)
        session.look_after(session.heard_ns)
        assert len(pool.server.extranonces) == 1
        pool.server.renumber(8)
        assert len(pool.server.extranonces) == 2
        client.writer.write_eof()
        await client.closed()
        assert len(pool.server.extranonces) == 0


async def test_session_ids_of_before_do_not_bring_the_old_number_back():
    async with Pool() as pool:
        client = await pool.miner()
        old, session_id = client.extranonce1, client.session_id
        pool.server.renumber(0)
        client.writer.write_eof()
        await client.closed()
        again = await pool.client()
        answer = await again.call("mining.subscribe", "test/1", session_id)
        assert answer["result"][1] != old


async def test_renumbering_without_a_job_or_a_login_is_in_force_at_once():
    async with Pool() as pool:
        pool.server.board.withdraw()
        client = await pool.client()
        await client.call("mining.extranonce.subscribe")
        await client.call("mining.subscribe", "test/1")
        pool.server.renumber(5)
        new, _ = await client.until("mining.set_extranonce")
        assert len(pool.server.extranonces) == 1
        client.worker = "wallet.rig"
        await client.call("mining.authorize", "wallet.rig", "x")
        pool.job()
        name = (await client.until("mining.notify"))[0]
        assert (await client.submit(name))["result"] is True
        assert used(pool) == {new}


class Ticks:
    """Time in the hands of the test."""

    def __init__(self) -> None:
        self.ns = 10**12

    def now_ms(self) -> int:
        return self.ns // 10**6 + 1_790_000_000_000

    def monotonic_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def flood(pool: Pool, clock: Ticks, client: Client, *, count: int, gap_ns: int) -> None:
    """Send shares so far apart until that many were taken; one in 65,536 misses."""
    taken = 0
    while taken < count:
        clock.ns += gap_ns
        when = clock.now_ms() // 1000
        taken += (await client.submit(pool.current, ntime=when))["result"] is True


async def test_a_fixed_difficulty_that_lets_a_miner_flood_is_raised_once_said():
    clock = Ticks()
    vardiff = VardiffSettings(start=EASY, minimum=EASY)
    async with Pool(vardiff=vardiff, clock=clock) as pool:
        client = await pool.miner(password=f"d={EASY}")
        await flood(pool, clock, client, count=256, gap_ns=10**7)
        (raised,) = await client.until("mining.set_difficulty")
        # A hundred shares a second where ten are allowed.
        assert 9 * EASY < raised < 11 * EASY
        assert "raised" in (await client.until("client.show_message"))[0]
        # Shares of the job before keep the difficulty that it was sent with.
        assert (await client.submit(pool.current, ntime=clock.now_ms() // 1000))["result"] is True
        assert pool.log.shares[-1][2] == from_float(EASY)
        await flood(pool, clock, client, count=300, gap_ns=10**7)
        again = [json.dumps(notice) for notice in client.notices]
        assert any("mining.set_difficulty" in notice for notice in again)
        assert not any("client.show_message" in notice for notice in again)


async def test_a_fixed_difficulty_stays_below_the_rate_or_without_one():
    for most, gap_ns in ((10.0, 101 * 10**6), (0.0, 10**6)):
        clock = Ticks()
        limits = StratumLimits(max_shares_per_s=most)
        async with Pool(limits=limits, clock=clock) as pool:
            client = await pool.miner(password=f"d={EASY}")
            await flood(pool, clock, client, count=600, gap_ns=gap_ns)
            assert client.notices == []


async def test_each_port_begins_with_its_own_difficulty():
    async with Pool() as pool:
        for settings, begins in (
            (ListenerSettings(port=0, start_difficulty=2 * EASY), 2 * EASY),
            (ListenerSettings(port=0, fixed_difficulty=4 * EASY), 4 * EASY),
        ):
            pool.port = await pool.server.listen(settings)
            client = await pool.client()
            await client.call("mining.subscribe", "test/1")
            await client.call("mining.authorize", "wallet.new" + str(pool.port), "x")
            assert await client.until("mining.set_difficulty") == [begins]
            await client.call("mining.suggest_difficulty", 8 * EASY)
            (session,) = (s for s in pool.server._sessions if s.worker.endswith(str(pool.port)))
            assert session.fixed is bool(settings.fixed_difficulty)
            assert session.difficulty == from_float(8 * EASY if not session.fixed else begins)

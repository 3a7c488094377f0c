"""Which shares are credited, with what, and what the others are told."""

import pytest

from millpond.chains.coins import coin_named
from millpond.errors import UnavailableError
from millpond.mining.difficulty import ONE
from millpond.mining.stratum import VardiffSettings
from millpond.ops.system import SystemClock
from tests.mining.stratum.helpers import EASY, Pool


def now_s() -> int:
    return SystemClock().now_ms() // 1000


async def test_a_good_share_is_credited_once_with_its_difficulty():
    async with Pool() as pool:
        miner = await pool.miner()
        fields = miner.share(pool.current)
        assert (await miner.call("mining.submit", *fields))["result"] is True
        assert pool.log.shares == [("wallet.rig", (100, pool.log.shares[0][1][1]), 1)]
        again = await miner.call("mining.submit", *fields)
        assert again["error"][0] == 22
        assert pool.log.rejects == [("wallet.rig", "DUPLICATE", 1)]


async def test_two_writings_of_one_address_are_one_worker_in_the_log():
    async with Pool() as pool:
        for name in ("wallet.rig", "WALLET.rig", "Wallet.rig"):
            miner = await pool.miner(name)
            assert (await miner.submit(pool.current))["result"] is True
            await miner.call("mining.submit", name, "nonsense", "00000000", "00000000", "00000000")
        assert [share[0] for share in pool.log.shares] == ["wallet.rig"] * 3
        assert {reject[0] for reject in pool.log.rejects} == {"wallet.rig"}


@pytest.mark.parametrize("form", [str.upper, str.title, lambda t: t.swapcase()])
async def test_no_trick_of_case_passes_a_share_twice(form):
    async with Pool() as pool:
        miner = await pool.miner()
        name, job, _, ntime, _ = miner.share(pool.current)
        low = [name, job, "0000abcd", ntime, "deadbeef"]
        assert (await miner.call("mining.submit", *low))["result"] is True
        high = [name, job.upper(), form("0000abcd"), form(ntime), form("deadbeef")]
        assert (await miner.call("mining.submit", *high))["error"][0] == 22
        assert len(pool.log.shares) == 1


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (2, "0000000"),
        (2, "000000000000"),
        (2, "0x000000"),
        (2, " 0000000"),
        (2, "٠٠٠٠٠٠٠٠"),
        (2, ""),
        (3, "1"),
        (3, "65 0b1 c0"),
        (4, "0000 001"),
        (4, "-0000001"),
        (4, "+0000001"),
        (4, "0000_001"),
        (4, "g0000000"),
        (4, 7),
        (4, None),
        (1, None),
        (0, ["x"]),
        (5, "zz"),
        (5, "1fffe00"),
    ],
)
async def test_fields_that_are_not_exact_hex_are_refused(at: int, text: object):
    async with Pool() as pool:
        miner = await pool.miner()
        fields: list[object] = [*miner.share(pool.current), "00000000"]
        fields[at] = text
        assert (await miner.call("mining.submit", *fields))["error"][0] in {20, 24}
        assert pool.log.shares == []


async def test_stale_and_unknown_jobs_are_told_apart():
    async with Pool() as pool:
        miner = await pool.miner()
        old = pool.current
        pool.job()
        # The previous job of the same height is still good.
        assert (await miner.submit(old))["result"] is True
        pool.job(height=101, prev="22" * 32)
        clean = [await miner.until("mining.notify") for _ in range(2)][1]
        assert clean[8] is True
        assert (await miner.submit(old))["error"][0] == 21
        assert (await miner.submit("ffffffffff00"))["error"][0] == 21
        assert (await miner.submit("nonsense"))["error"][0] == 21
        assert [reason for _, reason, _ in pool.log.rejects] == [
            "STALE",
            "UNKNOWN_JOB",
            "UNKNOWN_JOB",
        ]


async def test_the_time_of_a_share_is_held_within_bounds():
    async with Pool() as pool:
        miner = await pool.miner()
        assert (await miner.submit(pool.current, ntime=now_s() + 600))["result"] is True
        assert (await miner.submit(pool.current, ntime=now_s() + 100_000))["error"][0] == 20
        assert (await miner.submit(pool.current, ntime=0))["error"][0] == 20


async def test_version_bits_are_taken_without_configure_but_only_within_the_mask():
    async with Pool() as pool:
        miner = await pool.miner()
        assert (await miner.submit(pool.current, version="00002000"))["result"] is True
        assert (await miner.submit(pool.current, version="1FFFE000"))["result"] is True
        assert (await miner.submit(pool.current, version="00000001"))["error"][0] == 20


async def test_scrypt_miners_roll_no_version():
    async with Pool(coin=coin_named("devcoin-scrypt")) as pool:
        miner = await pool.miner()
        answer = await miner.call("mining.configure", ["version-rolling"], {})
        assert answer["result"] == {"version-rolling": False}
        assert (await miner.submit(pool.current, version="00002000"))["error"][0] == 20
        assert (await miner.submit(pool.current, version="00000000"))["result"] is True


async def test_low_difficulty_is_refused_with_23():
    async with Pool(vardiff=VardiffSettings(start=2.0**20, minimum=EASY)) as pool:
        miner = await pool.miner()
        assert (await miner.submit(pool.current))["error"][0] == 23
        # The network is easier than what was asked for, so nothing harder is.
        network = pool.job().network_difficulty
        assert pool.log.rejects == [("wallet.rig", "LOW_DIFFICULTY", network)]


async def test_shares_in_flight_across_a_change_count_as_what_they_were_made_for():
    async with Pool() as pool:
        miner = await pool.miner()
        first = pool.current
        assert (await miner.call("mining.suggest_difficulty", 2.0**-30))["result"] is True
        assert await miner.until("mining.set_difficulty") == [2.0**-30]
        renamed = (await miner.until("mining.notify"))[0]
        assert renamed != first
        while len(pool.log.shares) < 1:
            await miner.submit(first)
        while len(pool.log.shares) < 2:
            await miner.submit(renamed)
        pool.job()
        later = (await miner.until("mining.notify"))[0]
        while len(pool.log.shares) < 3:
            await miner.submit(later)
        while len(pool.log.shares) < 4:
            await miner.submit(first)
        assert [difficulty for _, _, difficulty in pool.log.shares] == [1, 4, 4, 1]


async def test_a_share_under_two_names_of_a_job_is_one_share():
    async with Pool() as pool:
        miner = await pool.miner()
        fields = miner.share(pool.current)
        assert (await miner.call("mining.submit", *fields))["result"] is True
        await miner.call("mining.suggest_difficulty", 2.0**-31)
        await miner.until("mining.notify")
        renamed = f"{fields[1][:-2]}01"
        answer = await miner.call("mining.submit", fields[0], renamed, *fields[2:])
        assert answer["error"][0] == 22


async def test_while_the_log_is_down_shares_are_refused_and_nothing_is_credited():
    async with Pool() as pool:
        miner = await pool.miner()
        pool.log.automatic = False
        miner.send_request("mining.submit", *miner.share(pool.current), number=5)
        await miner.call("mining.ping")
        pool.log.commit(UnavailableError("down"))
        assert (await miner.answer())["error"][0] == 20
        pool.log.available = False
        assert (await miner.submit(pool.current))["error"][0] == 20
        pool.log.available = pool.log.automatic = True
        assert (await miner.submit(pool.current))["result"] is True


async def test_a_share_that_meets_the_network_target_is_handed_over_at_once():
    async with Pool() as pool:
        pool.job(bits="207fffff")
        miner = await pool.miner()
        pool.log.automatic = False
        while not pool.blocks:
            miner.send_request("mining.submit", *miner.share(pool.current))
            await miner.call("mining.ping")
        job, extranonce1, _, verdict, worker, _, _ = pool.blocks[0]
        assert (extranonce1.hex(), worker) == (miner.extranonce1, "wallet.rig")
        assert int.from_bytes(verdict.hash_le, "little") <= job.network_target


async def test_a_block_is_handed_over_even_while_the_log_takes_no_share():
    async with Pool() as pool:
        pool.job(bits="207fffff")
        miner = await pool.miner()
        pool.log.available = False
        share: list[str] = []
        while not pool.blocks:
            share = miner.share(pool.current)
            miner.send_request("mining.submit", *share)
            assert (await miner.answer())["error"][0] == 20
        assert pool.blocks[0][-1] is False
        pool.log.available = True
        miner.send_request("mining.submit", *share)
        assert (await miner.answer())["result"] is True


async def test_pipelined_shares_are_all_answered():
    async with Pool() as pool:
        miner = await pool.miner()
        for number in range(500):
            miner.send_request("mining.submit", *miner.share(pool.current), number=number)
        answers = [await miner.answer() for _ in range(500)]
        assert {answer["id"] for answer in answers} == set(range(500))
        good = sum(answer["result"] is True for answer in answers)
        assert good == len(pool.log.shares) >= 490


async def test_vardiff_raises_the_difficulty_of_a_fast_miner():
    vardiff = VardiffSettings(start=EASY, minimum=EASY, target_s=60.0, powers_of_two=True)
    async with Pool(vardiff=vardiff) as pool:
        miner = await pool.miner()
        for _ in range(4):
            await miner.submit(pool.current)
        (difficulty,) = await miner.until("mining.set_difficulty")
        assert difficulty > EASY
        assert (difficulty * ONE).is_integer()
        # The same worker begins there the next time.
        again = await pool.client()
        await again.call("mining.subscribe")
        await again.call("mining.authorize", "wallet.rig")
        assert await again.until("mining.set_difficulty") == [difficulty]

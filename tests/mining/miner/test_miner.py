"""The built-in miner behaves as a pool and its owner expect of a miner."""

import asyncio
import io
import socket

import pytest

from millpond.clock import SeededEntropy
from millpond.mining.miner import (
    InvalidMinerSettingsError,
    MinerRun,
    PlainReporter,
    run_miner,
    terminal_reporter,
)
from millpond.mining.miner.report import Progress, hashrate_text, progress_line
from millpond.mining.work import Accepted
from millpond.ops.system import SystemClock
from tests.mining.miner.pool import Pool

USER = "dev1qexample.rig"


class QuickClock(SystemClock):
    """The real clock, but pauses of a second and more are noted and over at once."""

    def __init__(self):
        self.pauses = []

    async def sleep(self, seconds):
        if seconds == 5.0:  # the reporter's rhythm
            await asyncio.Event().wait()
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class Run:
    """A miner in the background."""

    def __init__(self, url, **changes):
        self.output = io.StringIO()
        self.clock = QuickClock()
        self.stop = asyncio.Event()
        settings = MinerRun(**({"url": url, "user": USER, "load": 0.5} | changes))
        self.task = asyncio.create_task(
            run_miner(
                settings, self.clock, SeededEntropy(1), stop=self.stop,
                reporter=PlainReporter(self.output),
            )
        )  # fmt: skip

    async def end(self):
        self.stop.set()
        return await self.task

    @property
    def said(self):
        return self.output.getvalue()


@pytest.mark.parametrize(
    ("coin", "algorithm", "difficulty"),
    [("devcoin", "sha256d", 2**-18), ("devcoin-scrypt", "scrypt", 2**-10)],
)
async def test_every_share_is_valid_and_is_counted(coin, algorithm, difficulty):
    async with Pool(coin, difficulty).running() as pool:
        if algorithm == "scrypt":
            pool.mask = 0
        run = Run(pool.url, algorithm=algorithm, threads=2, max_shares=20)
        assert await run.task == 0
    assert len(pool.verdicts) >= 20
    assert all(isinstance(verdict, Accepted) for verdict in pool.verdicts)
    assert "rejected 0" in run.said.splitlines()[-1]
    assert f"as {USER}" in run.said


async def test_the_handshake_is_that_of_a_real_miner():
    async with Pool().running() as pool:
        run = Run(pool.url, password="d=8")
        await pool.until(lambda: pool.shares)
        assert await run.end() == 0
    calls = [(message["method"], message["params"]) for message in pool.requests[:4]]
    assert calls[0][0] == "mining.configure"
    assert calls[0][1][1]["version-rolling.mask"] == "1fffe000"
    assert calls[1][0] == "mining.subscribe"
    assert calls[2] == ("mining.authorize", [USER, "d=8"])
    assert calls[3] == ("mining.extranonce.subscribe", [])
    assert all(len(share) == 6 for share in pool.shares)


async def test_version_bits_are_not_sent_where_none_were_granted():
    async with Pool().running() as pool:
        pool.mask = 0
        run = Run(pool.url, max_shares=3)
        assert await run.task == 0
    assert {len(share) for share in pool.shares} == {5}


async def test_blocks_are_counted():
    async with Pool(bits="207fffff", difficulty=2**-30).running() as pool:
        run = Run(pool.url, max_shares=3)
        assert await run.task == 0
    assert "found a block" in run.said
    assert all(verdict.is_block for verdict in pool.verdicts if isinstance(verdict, Accepted))


async def test_a_clean_job_is_taken_up_at_once():
    async with Pool().running() as pool:
        run = Run(pool.url)
        await pool.until(lambda: pool.shares)
        pool.notify(pool.writers[0], "second", height=800_001)
        await pool.until(lambda: pool.shares[-1][1] == "second")
        seen = len(pool.shares)
        await pool.until(lambda: len(pool.shares) > seen + 5)
        assert {share[1] for share in pool.shares[seen:]} == {"second"}
        await run.end()
    assert all(isinstance(verdict, Accepted) for verdict in pool.verdicts)


async def test_a_new_extranonce_and_difficulty_hold_from_the_next_job():
    async with Pool().running() as pool:
        run = Run(pool.url)
        await pool.until(lambda: pool.shares)
        pool.extranonce1, pool.difficulty = b"\x09" * 6, 2**-19
        writer = pool.writers[0]
        pool.send(writer, "mining.set_extranonce", ["09" * 6, 6])
        pool.send(writer, "mining.set_difficulty", [2**-19])
        pool.notify(writer, "second")
        await pool.until(lambda: sum(share[1] == "second" for share in pool.shares) > 3)
        await run.end()
    assert all(isinstance(verdict, Accepted) for verdict in pool.verdicts)
    assert {len(s[2]) for s in pool.shares if s[1] == "second"} == {12}


async def test_a_lost_connection_is_made_anew_with_back_off():
    async with Pool().running() as pool:
        run = Run(pool.url)
        await pool.until(lambda: pool.shares)
        pool.writers[0].close()
        await pool.until(lambda: pool.connections == 2 and pool.shares[-1][1] == "job2")
        await run.end()
    assert "trying again in" in run.said
    assert 0.5 <= run.clock.pauses[0] <= 1.0
    assert "reconnects 1" in run.said


async def test_pauses_grow_and_the_miner_gives_up_when_told_to():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = Run(f"127.0.0.1:{port}", max_attempts=9)
    assert await run.task == 1
    bounds = [min(2**n, 60) for n in range(8)]
    assert len(run.clock.pauses) == 8
    for pause, bound in zip(run.clock.pauses, bounds, strict=True):
        assert bound / 2 <= pause <= bound
    assert "cannot connect to" in run.said
    assert "giving up after 9 attempts" in run.said


async def test_a_refused_user_ends_the_run_with_one_sentence():
    async with Pool().running() as pool:
        pool.users = {"somebody"}
        run = Run(pool.url)
        assert await run.task == 2
    assert f"refuses {USER}: Unauthorized worker" in run.said
    assert pool.connections == 1


async def test_rejected_shares_are_counted_by_reason():
    async with Pool().running() as pool:
        pool.answer = lambda verdict: (False, verdict)
        run = Run(pool.url)
        await pool.until(lambda: len(pool.shares) >= 3)
        await pool.until(lambda: len(pool.shares) >= 5)
        await run.end()
    last = run.said.splitlines()[-1]
    assert "accepted 0" in last
    assert "Job not found" in last


async def test_the_pools_messages_are_shown_without_control_characters():
    async with Pool().running() as pool:
        pool.after_login = lambda writer: pool.send(
            writer, "client.show_message", ["maintenance\x1b[2J at noon"]
        )
        run = Run(pool.url)
        await pool.until(lambda: len(pool.shares) > 1)
        await run.end()
    assert "the pool says: maintenance[2J at noon" in run.said


async def test_questions_of_the_pool_are_answered():
    async with Pool().running() as pool:
        pool.after_login = lambda writer: [
            pool.send(writer, "client.get_version", [], 77),
            pool.send(writer, "mining.ping", [], "p"),
        ]
        run = Run(pool.url)
        await pool.until(lambda: sum("result" in m for m in pool.requests) == 2)
        await run.end()
    answers = {m["id"]: m["result"] for m in pool.requests if "result" in m}
    assert answers[77].startswith("millpond/")
    assert answers["p"] == "pong"


async def test_a_reconnect_is_followed_to_the_same_host_only():
    async with Pool().running() as pool, Pool().running() as other:
        pool.after_login = lambda writer: [
            pool.send(writer, "client.reconnect", ["evil.example", 1, 0]),
            pool.send(writer, "client.reconnect", ["", other.port, 0]),
        ]
        run = Run(pool.url)
        await other.until(lambda: other.shares)
        await run.end()
    assert "elsewhere: not followed" in run.said
    assert pool.connections == 1


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b"[1]\n", b"[" * 5000 + b"\n", b'{"id":"\xff"}\n', b'{"id":null,"method":"mining.notify","params":["x"]}\n',
     b'{"id":null,"method":"mining.set_difficulty","params":["no"]}\n',
     b'{"id":null,"method":"mining.set_difficulty","params":[-1]}\n',
     b'{"id":null,"method":"mining.set_extranonce","params":["zz",4]}\n',
     b'{"id":null,"method":"mining.set_version_mask","params":[]}\n'],
)  # fmt: skip
async def test_a_pool_that_talks_nonsense_is_left_and_tried_again(line):
    async with Pool().running() as pool:
        pool.after_login = lambda writer: writer.write(line) if pool.connections == 1 else None
        run = Run(pool.url)
        await pool.until(lambda: pool.shares and pool.shares[-1][1] == "job2")
        await run.end()
    assert "the pool" in run.said
    assert "trying again" in run.said


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"url": "http://pool"}, "scheme"),
        ({"url": "stratum+tcp://:3333"}, "host"),
        ({"url": "pool:99999"}, "address"),
        ({"url": "a..b:3333"}, "address"),
        ({"user": " "}, "user"),
        ({"algorithm": "randomx"}, "does not know"),
        ({"threads": 0}, "threads"),
        ({"load": 0.0}, "load"),
        ({"load": 1.5}, "load"),
        ({"pause_s": -1.0}, "pause_s"),
    ],
)
async def test_settings_that_cannot_be_are_refused_with_one_sentence(changes, word):
    with pytest.raises(InvalidMinerSettingsError) as caught:
        await Run(**({"url": "pool:1"} | changes)).task
    assert word in caught.value.message


def test_addresses_of_pools_are_read_as_people_write_them():
    def read(url):
        return tuple(MinerRun(url=url, user=USER).endpoint())

    assert read("pool.example:4444") == ("pool.example", 4444, False)
    assert read("pool.example") == ("pool.example", 3333, False)
    assert read("stratum+ssl://[::1]:5") == ("::1", 5, True)


def test_progress_is_one_line():
    line = progress_line(
        Progress(
            connected=True, hashrate=8_100_000, difficulty=0.5, accepted=3,
            rejected={"stale": 2}, blocks=1, round_trip_ms=1.25, reconnects=1,
        )
    )  # fmt: skip
    assert line == (
        "8.1 MH/s | difficulty 0.5 | accepted 3 | rejected 2 (stale 2) | blocks 1 | 1.2 ms"
        " | reconnects 1"
    )
    assert "not connected" in progress_line(Progress())
    assert hashrate_text(2.5e15) == "2500.0 TH/s"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_line_that_changes_in_place():
    stream = Terminal()
    reporter = terminal_reporter(stream)
    reporter.say("hello [pool]")
    reporter.progress(Progress(connected=True, accepted=4))
    reporter.close()
    assert "hello [pool]" in stream.getvalue()
    assert "accepted 4" in stream.getvalue()

"""Live events over a real socket: topics, resume, limits, slow clients, heartbeats."""

import asyncio
import contextlib
import json

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from millpond.api.core import Core
from millpond.api.hub import Hub, TooManyWatchersError, UnknownTopicError
from millpond.api.settings import ApiSettings
from millpond.ops.system import SystemClock
from tests.api.sample import WALLET, SampleReads, payout_row
from tests.api.test_shell import sample_deps
from tests.web.serving import serving


@contextlib.asynccontextmanager
async def live(tmp_path, **settings):
    reads = SampleReads()
    chosen = ApiSettings(port=0, poll_interval_s=0.05, **settings)
    deps = await sample_deps(tmp_path, reads=reads, settings=chosen, clock=SystemClock())
    try:
        async with serving(deps) as url:
            yield reads, url.replace("http", "ws") + "/api/v1/ws"
    finally:
        await deps.store.close()


async def receive(socket, kind, **wanted):
    """The next message of a kind; heartbeats between are answered."""
    async with asyncio.timeout(20):
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == kind and all(message.get(k) == v for k, v in wanted.items()):
                return message
            if message["type"] == "ping":
                await socket.send('{"type":"pong"}')


def faster(reads: SampleReads) -> None:
    stats = msgspec.structs.replace(reads.pool.stats, pool_hashrate=9.9e9)
    reads.pool = msgspec.structs.replace(reads.pool, stats=stats)


async def test_subscribers_get_what_changes_in_their_topics(tmp_path):
    async with live(tmp_path) as (reads, url), connect(url) as socket:
        await receive(socket, "hello")
        topics = ["stats", "payouts", f"worker:{WALLET}.rig-0"]
        await socket.send(json.dumps({"type": "subscribe", "topics": topics}))
        await receive(socket, "subscribed")
        first = await receive(socket, "event", topic="stats")
        assert first["data"]["active_workers"] == 5
        worker = await receive(socket, "event", topic=f"worker:{WALLET}.rig-0")
        assert worker["data"]["worker_name"] == "rig-0"
        faster(reads)
        while (await receive(socket, "event", topic="stats"))["data"]["pool_hashrate"] != 9.9e9:
            """An older look may still be on its way."""
        reads.payout_rows.insert(0, payout_row(99, "settled"))
        payout = await receive(socket, "event", topic="payouts")
        assert payout["data"]["state"] == "settled"
        await socket.send('{"type":"unsubscribe","topics":["payouts"]}')
        await receive(socket, "unsubscribed")
        await socket.send('{"type":"ping"}')
        await receive(socket, "pong")


async def test_a_client_that_comes_back_gets_what_it_missed(tmp_path):
    async with live(tmp_path) as (reads, url):
        async with connect(url) as socket:
            await socket.send('{"type":"subscribe","topics":["payouts","stats"]}')
            # From here on the server has looked, and what is added is news.
            await receive(socket, "event", topic="stats")
            reads.payout_rows.insert(0, payout_row(50, "settled"))
            seen = await receive(socket, "event", topic="payouts")
        async with connect(url) as other:
            await other.send('{"type":"subscribe","topics":["payouts"]}')
            await receive(other, "subscribed")
            reads.payout_rows.insert(0, payout_row(51, "settled"))
            await receive(other, "event", topic="payouts")
        async with connect(url) as socket:
            again = {"type": "subscribe", "topics": ["payouts"], "last_event_id": seen["id"]}
            await socket.send(json.dumps(again))
            missed = await receive(socket, "event", topic="payouts")
            assert missed["data"]["id"] == f"{51:032x}"
            again["last_event_id"] = "1-1"
            await socket.send(json.dumps(again))
            await receive(socket, "resync")


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "[" * 8_000,
        '{"type":"ping","x":' + "[" * 8_000,
        '{"type":"other"}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","topics":["nothing"]}',
        '{"type":"subscribe","topics":["_snapshot"]}',
        '{"type":"subscribe","topics":["worker:"]}',
        '{"type":"subscribe","topics":' + json.dumps([f"worker:{i}" for i in range(60)]) + "}",
    ],
)
async def test_wrong_messages_are_answered(tmp_path, text):
    async with live(tmp_path) as (_, url), connect(url) as socket:
        await socket.send(text)
        assert (await receive(socket, "error"))["code"] in {"invalid_message", "invalid_topic"}


async def test_too_many_wrong_messages_end_the_connection(tmp_path):
    async with live(tmp_path) as (_, url), connect(url) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(50):
                await socket.send("nonsense")
                await receive(socket, "error")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000


async def test_who_gives_no_sign_of_life_is_let_go(tmp_path):
    async with live(tmp_path, heartbeat_s=1) as (_, url), connect(url) as socket:
        kinds = []
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                while True:
                    kinds.append(json.loads(await socket.recv())["type"])
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009
        assert kinds == ["hello", "ping"]


async def test_only_so_many_connections_of_one_address(tmp_path):
    async with live(tmp_path, max_watchers_per_address=1) as (_, url), connect(url):
        with pytest.raises(InvalidStatus):
            async with connect(url):
                pass


async def test_a_stopping_server_ends_live_connections_at_once(tmp_path):
    async with live(tmp_path) as (_, url):
        site = url.replace("ws:", "http:").removesuffix("/api/v1/ws")
        socket = await connect(url)
        stream = httpx.AsyncClient(timeout=30)
        request = stream.build_request("GET", f"{site}/live")
        answer = await stream.send(request, stream=True)
        chunks = answer.aiter_text()
        text = ""
        while "hx-partial" not in text:
            text += await anext(chunks)
        await socket.send('{"type":"subscribe","topics":["stats"]}')
        await receive(socket, "event", topic="stats")
    rest = [chunk async for chunk in chunks]
    assert answer.is_closed, f"the stream came to its end, after {len(rest)} more pieces"
    with pytest.raises(ConnectionClosed):
        while True:
            await socket.recv()
    assert socket.close_code in (1001, 1012)
    await stream.aclose()


async def test_a_slow_client_is_dropped_and_holds_nobody_up():
    hub = Hub(1, max_watchers=2, max_per_address=2, queue_size=3)
    slow, quick = hub.open("a"), hub.open("b")
    for watcher in (slow, quick):
        hub.subscribe(watcher, ["stats"])
    got = []
    for number in range(5):
        hub.publish("stats", number)
        event = await quick.next()
        assert event is not None
        got.append(event.payload)
    assert got == [0, 1, 2, 3, 4]
    assert slow.overflowed
    assert await slow.next() is None
    with pytest.raises(TooManyWatchersError):
        hub.open("c")
    hub.close(slow)
    assert len(hub) == 1
    assert hub.open("c").address == "c"


def test_histories_are_bounded_and_say_when_they_forgot():
    hub = Hub(7, max_watchers=1, max_per_address=1, queue_size=1)
    first = hub.event_id(hub.publish("blocks", 0))
    assert hub.since(["blocks"], first) == []
    for number in range(1, 256):
        hub.publish("blocks", number)
    missed = hub.since(["blocks"], first)
    assert missed is not None
    assert [event.payload for event in missed] == list(range(1, 256))
    hub.publish("blocks", 256)
    hub.publish("blocks", 257)
    assert hub.since(["blocks"], first) is None
    for nonsense in ("", "7", "7-", "7-x", "7-999999", "8-1", "7-" + "9" * 500):
        assert hub.since(["blocks"], nonsense) is None
    with pytest.raises(UnknownTopicError):
        hub.subscribe(hub.open("a"), ["worker:" + "x" * 201])


async def test_watchers_cost_the_database_nothing(tmp_path):
    reads = SampleReads()
    deps = await sample_deps(tmp_path, reads=reads)
    core = Core(deps)
    await core.poller.look()
    asked = reads.queries
    for _ in range(100):
        await core.poller.snapshot()
    assert reads.queries == asked
    assert (await core.poller.snapshot()).version == 1
    await core.poller.look()
    assert (await core.poller.snapshot()).version == 1, "nothing new is no new version"
    await deps.store.close()

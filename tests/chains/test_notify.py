"""News of blocks: every source, once each, through restarts."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys

import pytest

from millpond.chains.bitcoin.daemons import DaemonSet
from millpond.chains.bitcoin.health import HealthSettings
from millpond.chains.bitcoin.notify import BlockNews, News, NewsSettings
from millpond.chains.bitcoin.poke import poke
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import coin_named
from millpond.chains.devchain.params import test_params as easy_params
from millpond.chains.devchain.server import DevchainServer
from millpond.clock import SeededEntropy
from millpond.ops.system import SystemClock
from tests.chains.daemons import LitecoinDaemon, free_port

COIN = coin_named("devcoin")
NEVER = 3600.0


class Listener:
    """A `BlockNews` at work, and what it has told."""

    def __init__(self, endpoint: RpcEndpoint, coin, settings: NewsSettings) -> None:
        health = HealthSettings(fail_after=1000, longpoll_timeout_s=30)
        self.daemons = DaemonSet([endpoint], coin, SystemClock(), health)
        self.news = BlockNews(self.daemons, SystemClock(), settings)
        self.told: list[News] = []
        self._arrived = asyncio.Event()
        self._stop = asyncio.Event()
        self.news.on_news(self._take)

    def _take(self, news: News) -> None:
        self.told.append(news)
        self._arrived.set()

    async def __aenter__(self) -> Listener:  # noqa: PYI034 - never subclassed
        self._task = asyncio.create_task(self.news.run(self._stop))
        await self.news.listening.wait()
        await self.until(lambda: bool(self.told))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def until(self, condition) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    async def hear(self, tip_hash: str) -> News:
        await self.until(lambda: any(n.tip_hash == tip_hash for n in self.told))
        (found,) = [n for n in self.told if n.tip_hash == tip_hash and n.new_block]
        return found


class Chain:
    """A devchain that can be stopped and started on the same ports."""

    def __init__(self, tmp_path) -> None:
        self.zmq = f"tcp://127.0.0.1:{free_port()}"
        self._path = tmp_path
        self._port = 0

    async def start(self) -> None:
        self.server = DevchainServer(
            easy_params(COIN),
            SystemClock(),
            SeededEntropy(),
            datadir=self._path,
            port=self._port,
            zmq_address=self.zmq,
        )
        await self.server.start()
        self._port = self.server.port
        self.rpc = RpcEndpoint(self.server.url, self.server.user, self.server.password)

    async def stop(self) -> None:
        await self.rpc.close()
        await self.server.stop()

    async def mine(self) -> str:
        if not self.server.wallets.loaded:
            known = "w" in self.server.wallets.all
            await self.rpc.call("loadwallet" if known else "createwallet", "w")
        address = await self.rpc.call("getnewaddress")
        (block_hash,) = await self.rpc.call("generatetoaddress", 1, address)
        return str(block_hash)


@pytest.fixture
async def chain(tmp_path):
    made = Chain(tmp_path / "chain")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def endpoint(chain):
    async with RpcEndpoint(chain.server.url, "devchain", "devchain") as made:
        yield made


async def test_polling_finds_every_block(chain, endpoint):
    settings = NewsSettings(longpoll=False, poll_interval_s=0.01)
    async with Listener(endpoint, COIN, settings) as listener:
        for _ in range(3):
            assert (await listener.hear(await chain.mine())).source == "poll"


async def test_the_long_poll_brings_the_template_along(chain, endpoint):
    settings = NewsSettings(longpoll=True, poll_interval_s=NEVER)
    async with Listener(endpoint, COIN, settings) as listener:
        for height in (2, 3, 4):
            news = await listener.hear(await chain.mine())
            assert news.source == "longpoll"
            assert news.template is not None
            assert (news.template["height"], news.template["previousblockhash"]) == (
                height,
                news.tip_hash,
            )


async def test_zmq_is_heard_and_again_after_the_daemon_was_restarted(chain, endpoint):
    settings = NewsSettings(zmq=(chain.zmq,), longpoll=False, poll_interval_s=NEVER)
    async with Listener(endpoint, COIN, settings) as listener:
        # A subscription takes a moment to arrive: mine until one is heard.
        async with asyncio.timeout(30):
            while not any(n.source == "zmq" for n in listener.told):
                await chain.mine()
                await asyncio.sleep(0.01)
        await chain.stop()
        await chain.start()
        count = len(listener.told)
        async with asyncio.timeout(30):
            while len(listener.told) == count:
                await chain.mine()
                await asyncio.sleep(0.01)
        assert listener.told[-1].source == "zmq"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_poke_is_news_at_once(chain, endpoint, tmp_path, kind):
    path = tmp_path / "poke.sock"
    where = f"unix:{path}" if kind == "unix" else "127.0.0.1:0"
    settings = NewsSettings(poke=where, longpoll=False, poll_interval_s=NEVER)
    async with Listener(endpoint, COIN, settings) as listener:
        address = where if kind == "unix" else f"127.0.0.1:{listener.news.poke_port}"
        block_hash = await chain.mine()
        await asyncio.to_thread(poke, address, block_hash)
        assert (await listener.hear(block_hash)).source == "poke"
        # Without a name the daemon is asked.
        block_hash = await chain.mine()
        await asyncio.to_thread(poke, address)
        assert (await listener.hear(block_hash)).source == "poke"


async def test_garbage_on_the_poke_socket_is_no_news(chain, endpoint):
    settings = NewsSettings(poke="127.0.0.1:0", longpoll=False, poll_interval_s=NEVER)
    async with Listener(endpoint, COIN, settings) as listener:
        for garbage in (b"\xff\xfe\n", b"x" * 10_000 + b"\n", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.news.poke_port)
            writer.write(garbage)
            await writer.drain()
            with contextlib.suppress(ConnectionError):
                await reader.read(100)
            writer.close()
        assert len(listener.told) == 1


async def test_a_block_told_by_all_sources_is_news_once(chain, endpoint):
    settings = NewsSettings(
        zmq=(chain.zmq,), poke="127.0.0.1:0", longpoll=True, poll_interval_s=0.01
    )
    async with Listener(endpoint, COIN, settings) as listener:
        hashes = []
        for _ in range(10):
            hashes.append(await chain.mine())
            await asyncio.to_thread(poke, f"127.0.0.1:{listener.news.poke_port}", hashes[-1])
            await listener.hear(hashes[-1])
        told = [n.tip_hash for n in listener.told if n.new_block]
        assert told[1:] == hashes


async def test_an_answer_that_was_overtaken_by_news_is_no_news(chain, endpoint, monkeypatch):
    settings = NewsSettings(poke="127.0.0.1:0", longpoll=False, poll_interval_s=0.01)
    async with Listener(endpoint, COIN, settings) as listener:
        old = await chain.mine()
        await listener.hear(old)
        ask, held, go_on = listener.daemons.tip, asyncio.Event(), asyncio.Event()

        async def late():
            answer = await ask()
            if not held.is_set():
                held.set()
                await go_on.wait()
            return answer

        monkeypatch.setattr(listener.daemons, "tip", late)
        await held.wait()
        new = await chain.mine()
        await asyncio.to_thread(poke, f"127.0.0.1:{listener.news.poke_port}", new)
        await listener.hear(new)
        go_on.set()
        newest = await chain.mine()
        await listener.hear(newest)
        assert [n.tip_hash for n in listener.told[-3:]] == [old, new, newest]


async def test_a_late_name_of_an_old_block_is_no_news(chain, endpoint):
    settings = NewsSettings(poke="127.0.0.1:0", longpoll=False, poll_interval_s=NEVER)
    async with Listener(endpoint, COIN, settings) as listener:
        address = f"127.0.0.1:{listener.news.poke_port}"
        first, second = await chain.mine(), await chain.mine()
        for name in (first, second, first):
            await asyncio.to_thread(poke, address, name)
        assert [n.tip_hash for n in listener.told[1:]] == [first, second]


async def test_a_chain_that_goes_back_is_news(chain, endpoint):
    settings = NewsSettings(longpoll=False, poll_interval_s=0.01)
    async with Listener(endpoint, COIN, settings) as listener:
        first, second = await chain.mine(), await chain.mine()
        await listener.until(lambda: listener.told[-1].tip_hash == second)
        await chain.rpc.call("invalidateblock", second)
        await listener.until(lambda: listener.told[-1].tip_hash == first)
        assert listener.told[-1].new_block


async def test_a_slow_reader_gets_the_latest(chain, endpoint):
    settings = NewsSettings(longpoll=False, poll_interval_s=0.005)
    async with Listener(endpoint, COIN, settings) as listener:
        changes = aiter(listener.news.changes())
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await listener.hear(await chain.mine())
        await waiting
        mined = [await chain.mine() for _ in range(3)]
        await listener.hear(mined[-1])
        assert (await anext(changes)).tip_hash == mined[-1]


async def test_the_notify_command_of_a_real_daemon_is_heard():
    port = free_port()
    command = f"{sys.executable} -m millpond.chains.bitcoin.poke 127.0.0.1:{port} %s"
    with LitecoinDaemon(extra=(f"-blocknotify={command}",)) as daemon:
        settings = NewsSettings(poke=f"127.0.0.1:{port}", longpoll=False, poll_interval_s=NEVER)
        async with (
            daemon.endpoint() as endpoint,
            Listener(endpoint, daemon.coin, settings) as heard,
        ):
            (block_hash,) = await asyncio.to_thread(daemon.mine, 1)
            assert (await heard.hear(block_hash)).source == "poke"


async def test_the_long_poll_of_a_real_daemon_is_heard(litecoind):
    settings = NewsSettings(longpoll=True, poll_interval_s=NEVER)
    async with (
        litecoind.endpoint() as endpoint,
        Listener(endpoint, litecoind.coin, settings) as heard,
    ):
        (block_hash,) = await asyncio.to_thread(litecoind.mine, 1)
        assert (await heard.hear(block_hash)).source == "longpoll"


def test_a_poke_that_reaches_nobody_says_so_and_fails():
    done = subprocess.run(
        [sys.executable, "-m", "millpond.chains.bitcoin.poke", f"127.0.0.1:{free_port()}", "00"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nobody was told")

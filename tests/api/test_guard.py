"""Connections that ask slowly, or not at all, are ended; the others notice nothing."""

import asyncio
import contextlib

import pytest
from websockets.asyncio.client import connect

from millpond.api.guard import Door
from millpond.api.settings import ApiSettings
from millpond.ops.system import SystemClock
from tests.api.test_shell import sample_deps
from tests.web.serving import serving

ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@contextlib.asynccontextmanager
async def site(tmp_path, **settings):
    chosen = ApiSettings(port=0, **settings)
    deps = await sample_deps(tmp_path, settings=chosen, clock=SystemClock())
    try:
        async with serving(deps) as url:
            yield url
    finally:
        await deps.store.close()


async def call(url: str, data: bytes):
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    return reader, writer


async def end_of(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "slow",
    [
        b"",
        ASK + b"X: y",
        b"POST /api/v1/auth/challenge HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        ASK + b"\r\n" + ASK,
    ],
)
async def test_a_request_that_does_not_end_is_cut_off(tmp_path, slow: bytes):
    async with site(tmp_path, request_s=0.2) as url:
        reader, writer = await call(url, slow)
        assert (await end_of(reader)).count(b"HTTP/1.1 200") == slow.count(b"\r\n\r\n" + ASK)
        writer.close()


async def test_an_address_has_only_so_many_connections(tmp_path):
    async with site(tmp_path, max_connections_per_address=3) as url:
        held = [await call(url, ASK) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        reader, writer = await call(url, ASK + b"\r\n")
        assert await end_of(reader) == b""
        for _, one in [*held, (reader, writer)]:
            one.close()


async def test_a_live_connection_is_not_a_slow_request(tmp_path):
    async with (
        site(tmp_path, request_s=0.05, max_connections_per_address=1) as url,
        connect(url.replace("http", "ws") + "/api/v1/ws") as socket,
    ):
        for _ in range(5):
            await socket.send('{"type":"ping"}')
            async with asyncio.timeout(20):
                while "pong" not in str(await socket.recv()):
                    pass
            await SystemClock().sleep(0.05)


def test_a_trusted_proxy_speaks_for_many():
    door = Door(ApiSettings(max_connections_per_address=1, trusted_proxies=("10.0.0.0/8",)))
    assert [door.enter("10.1.1.1") for _ in range(3)] == [True, True, True]
    assert [door.enter("9.1.1.1"), door.enter("9.1.1.1")] == [True, False]
    door.leave("9.1.1.1")
    assert door.enter("9.1.1.1")
    assert len(door) == 4

"""The RPC client: exact numbers, bounds, and what is known after each kind of failure."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Self

import msgspec
import pytest
from aiohttp import web

from millpond.chains.bitcoin import rpc as rpc_module
from millpond.chains.bitcoin.amounts import from_sat, to_sat
from millpond.chains.bitcoin.errors import (
    RpcAuthError,
    RpcNotReadyError,
    RpcOutcomeUnknownError,
    RpcProtocolError,
    RpcRejectedError,
    RpcTimeoutError,
    RpcUnavailableError,
    RpcWarmingUpError,
)
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import coin_named
from millpond.chains.devchain.params import test_params as easy_params
from millpond.chains.devchain.server import DevchainServer
from millpond.clock import SeededEntropy
from millpond.ops.system import SystemClock
from tests.chains.daemons import SilentPort, free_port


class Scripted:
    """An HTTP server that gives the prepared answers, one a call."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, object]] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.bodies.append(msgspec.json.decode(await request.read()))
        return web.Response(body=self.answers.pop(0))


@pytest.fixture
async def server():
    async with DevchainServer(
        easy_params(coin_named("devcoin")), SystemClock(), SeededEntropy()
    ) as running:
        yield running


@pytest.fixture
async def rpc(server):
    async with RpcEndpoint(server.url, server.user, server.password, timeout_s=5) as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    ("digits", "sat"),
    [
        ("0.00000001", 1),
        ("84000000.00000000", 8_400_000_000_000_000),
        ("20999999.97690000", 2_099_999_997_690_000),
        ("-0.00002820", -2820),
        ("1e-8", 1),
        ("0E-8", 0),
        ("3", 300_000_000),
        ("90071992.54740993", 9_007_199_254_740_993),
    ],
)
async def test_amounts_arrive_to_the_unit(digits, sat):
    body = f'{{"result":{{"amount":{digits}}},"error":null,"id":1}}'.encode()
    async with Scripted(body) as scripted, RpcEndpoint(scripted.url) as endpoint:
        answer = await endpoint.call("getbalances")
    assert to_sat(answer["amount"]) == sat


@pytest.mark.parametrize(
    "value", [Decimal("0.000000001"), Decimal("NaN"), Decimal("1e30"), "1", 1.5, True, None]
)
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(RpcProtocolError):
        to_sat(value)


@pytest.mark.parametrize(
    ("sat", "digits"),
    [(1, b"0.00000001"), (-2820, b"-0.00002820"), (10**16, b"100000000.00000000")],
)
async def test_amounts_leave_as_plain_digits(sat, digits):
    assert msgspec.json.encode(from_sat(sat)) == digits
    assert to_sat(Decimal(digits.decode())) == sat


async def test_an_answer_that_is_too_large_is_cut_off(monkeypatch):
    monkeypatch.setattr(rpc_module, "MAX_ANSWER_BYTES", 1000)
    body = b'{"result":"' + b"x" * 5000 + b'"}'
    async with Scripted(body) as scripted, RpcEndpoint(scripted.url) as endpoint:
        with pytest.raises(RpcProtocolError, match="too many"):
            await endpoint.call("getblock")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":"x"}',
        b'{"result":1,"error":{"code":"a"}}',
        b'{"result":"\xe9t\xe9"}',
        b'{"result":' + b"[" * 100_000,
    ],
)
async def test_garbage_leaves_the_outcome_unknown(body):
    async with Scripted(body) as scripted, RpcEndpoint(scripted.url) as endpoint:
        with pytest.raises(RpcOutcomeUnknownError):
            await endpoint.call("sendrawtransaction", "00")


async def test_nobody_there_means_that_nothing_happened():
    async with RpcEndpoint(f"http://127.0.0.1:{free_port()}") as endpoint:
        with pytest.raises(RpcUnavailableError):
            await endpoint.call("sendrawtransaction", "00")


async def test_no_answer_in_time_leaves_the_outcome_unknown():
    with SilentPort() as url:
        async with RpcEndpoint(url, timeout_s=0.05) as endpoint:
            with pytest.raises(RpcTimeoutError) as caught:
                await endpoint.call("sendrawtransaction", "00")
    assert isinstance(caught.value, RpcOutcomeUnknownError)
    assert not isinstance(caught.value, RpcUnavailableError)


async def test_an_answer_lost_after_acting_is_unknown_and_the_effect_is_there(server, rpc):
    await rpc.call("dev_set_fault", {"method": "createwallet", "mode": "drop_after"})
    with pytest.raises(RpcOutcomeUnknownError):
        await rpc.call("createwallet", "w")
    assert await rpc.call("listwallets") == ["w"]


async def test_a_lost_read_is_asked_again_by_itself(server, rpc):
    await rpc.call("dev_set_fault", {"method": "getblockcount", "mode": "drop_before"})
    assert await rpc.call("getblockcount") == 0


async def test_a_lost_effect_is_never_repeated_by_itself(server, rpc):
    await rpc.call("dev_set_fault", {"method": "createwallet", "mode": "drop_before"})
    with pytest.raises(RpcOutcomeUnknownError):
        await rpc.call("createwallet", "w")
    assert await rpc.call("listwallets") == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"mode": "error", "rpc_code": -28}, RpcWarmingUpError),
        ({"mode": "error", "rpc_code": -9}, RpcNotReadyError),
        ({"mode": "error", "rpc_code": -10}, RpcNotReadyError),
        ({"mode": "error", "rpc_code": -777}, RpcRejectedError),
        ({"mode": "http_503"}, RpcUnavailableError),
        ({"mode": "garbage"}, RpcProtocolError),
    ],
)
async def test_what_the_daemon_says_becomes_the_type_that_it_means(rpc, fault, kind):
    await rpc.call("dev_set_fault", {"method": "sendrawtransaction", **fault})
    with pytest.raises(kind):
        await rpc.call("sendrawtransaction", "00")


async def test_the_cookie_file_is_read_anew_for_every_call(server, tmp_path):
    cookie = tmp_path / ".cookie"
    async with RpcEndpoint(server.url, cookie_file=cookie) as endpoint:
        with pytest.raises(RpcUnavailableError):
            await endpoint.call("getblockcount")
        cookie.write_text("__cookie__:stale")
        with pytest.raises(RpcAuthError):
            await endpoint.call("getblockcount")
        cookie.write_text(f"{server.user}:{server.password}\n")
        assert await endpoint.call("getblockcount") == 0


async def test_many_calls_share_few_connections(server):
    async with RpcEndpoint(server.url, server.user, server.password, connections=2) as endpoint:
        counts = await asyncio.gather(*(endpoint.call("getblockcount") for _ in range(50)))
    assert counts == [0] * 50


def test_an_endpoint_never_shows_its_password():
    endpoint = RpcEndpoint("http://127.0.0.1:1", "user", "hunter2")
    assert "hunter2" not in repr(endpoint)
    assert "hunter2" not in endpoint.name

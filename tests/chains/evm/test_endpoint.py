"""One endpoint: what it makes of every way in which an answer can go wrong."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

import pytest
from aiohttp import web

from millpond.chains.evm.errors import (
    RpcAnswerTooLargeError,
    RpcAuthError,
    RpcInvalidParameterError,
    RpcOutcomeUnknownError,
    RpcProtocolError,
    RpcRateLimitedError,
    RpcRejectedError,
    RpcServerError,
    RpcTimeoutError,
    RpcUnavailableError,
)
from millpond.chains.evm.rpc import MAX_BATCH, RpcEndpoint
from millpond.errors import InvalidInputError
from tests.chains.evm.front import Front, RefusedError
from tests.support.postgres import free_port


@pytest.fixture
async def endpoint(front: Front):
    async with RpcEndpoint(front.url, name="n", timeout_s=5, max_body=100_000) as made:
        yield made


def answer(status: int = 200, text: str = "", **headers: str):
    return lambda _document: web.Response(status=status, text=text, headers=headers)


async def test_a_call_gives_its_result(front, endpoint):
    front.change = lambda method, params, _: [method, params]
    assert await endpoint.call("eth_x", ["0x1", True]) == ["eth_x", ["0x1", True]]


async def test_numbers_with_a_fraction_never_become_floats(front, endpoint):
    front.raw = lambda call: web.Response(
        text=f'{{"id":{call["id"]},"result":[0.1,1e3,12345678901234567890123]}}'
    )
    got = await endpoint.call("eth_x")
    assert got == [Decimal("0.1"), Decimal("1e3"), 12345678901234567890123]
    assert not any(isinstance(number, float) for number in got)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, '{"jsonrpc":"2.0","id":1,"resu'), RpcProtocolError),
        (answer(200, ""), RpcProtocolError),
        (answer(200, "<html>hello</html>"), RpcProtocolError),
        (answer(200, '"text"'), RpcProtocolError),
        (answer(200, '{"jsonrpc":"2.0","id":999,"result":1}'), RpcProtocolError),
        (answer(200, '{"jsonrpc":"2.0","id":null,"result":1}'), RpcProtocolError),
        (answer(200, '{"jsonrpc":"2.0","id":1}'), RpcProtocolError),
        (answer(200, '{"jsonrpc":"2.0","id":1,"error":{"message":"?"}}'), RpcProtocolError),
        (answer(200, " " * 100_001), RpcAnswerTooLargeError),
        (answer(413, "too large"), RpcAnswerTooLargeError),
        (answer(401), RpcAuthError),
        (answer(403, '{"error":"key"}'), RpcAuthError),
        (answer(500, "oops"), RpcServerError),
        (answer(502), RpcServerError),
        (answer(503), RpcServerError),
        (answer(504, "<html>"), RpcServerError),
        (answer(404, "not here"), RpcProtocolError),
        (answer(429), RpcRateLimitedError),
    ],
)
async def test_a_bad_answer_is_an_error_that_says_whether_it_may_have_happened(
    front, endpoint, reply, error
):
    front.raw = reply
    with pytest.raises(error):
        await endpoint.call("eth_sendRawTransaction", ["0x00"])


async def test_an_answer_nested_too_deeply_is_refused(front, endpoint):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # what it is in production; the tests' own libraries raise it
    try:
        front.raw = answer(200, "[" * 90_000)
        with pytest.raises(RpcProtocolError):
            await endpoint.call("eth_x")
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_followed_to_another_address_with_the_key(front, status):
    async with Front() as stranger, RpcEndpoint(front.url, headers={"X-Api-Key": "k"}) as ours:
        front.raw = answer(status, Location=f"{stranger.url}/key")
        with pytest.raises(RpcProtocolError, match=f"elsewhere.*{status}"):
            await ours.call("eth_chainId")
        assert stranger.requests == 0


async def test_cookies_of_a_node_are_not_kept(front):
    sent: list[web.Request] = []

    def reply(call):
        made = web.Response(text=f'{{"id":{call["id"]},"result":"0x1"}}')
        for number in range(10):
            made.headers.add("Set-Cookie", f"c{call['id']}-{number}={'x' * 300}; Max-Age=999999")
        return made

    front.raw = reply
    front.heard = sent.append
    async with RpcEndpoint(front.url.replace("127.0.0.1", "localhost")) as ours:
        for _ in range(3):
            await ours.call("eth_chainId")
    assert [request.headers.get("Cookie") for request in sent] == [None] * 3


async def test_a_nodes_words_fit_into_any_log_and_database(front, endpoint):
    front.raw = lambda call: web.Response(
        text=f'{{"id":{call["id"]},"error":{{"code":-32000,"message":"no\\u0000 \\u001b[2J\\u202e"}}}}'
    )
    with pytest.raises(RpcRejectedError) as caught:
        await endpoint.call("eth_getBalance")
    assert caught.value.message == str(caught.value) == "no? ?[2J?"


async def test_an_error_object_counts_even_under_a_bad_status(front, endpoint):
    front.raw = answer(400, '{"id":1,"error":{"code":-32602,"message":"invalid argument 0"}}')
    with pytest.raises(RpcInvalidParameterError, match="invalid argument 0"):
        await endpoint.call("eth_x")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "99999999999999"}, 3600),
        ({}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        (
            {
                "Date": "Sat, 21 Nov 2026 04:00:00 GMT",
                "Retry-After": "Sat, 21 Nov 2026 04:00:30 GMT",
            },
            30,
        ),
        (
            {
                "Date": "Sat, 21 Nov 2026 04:00:00 GMT",
                "Retry-After": "Sat, 21 Nov 2026 03:00:00 GMT",
            },
            0,
        ),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(front, endpoint, headers, seconds):
    front.raw = answer(429, "slow down", **headers)
    with pytest.raises(RpcRateLimitedError) as caught:
        await endpoint.call("eth_x")
    assert caught.value.retry_after_s == seconds


async def test_nothing_listening_means_that_nothing_happened():
    async with RpcEndpoint(f"http://127.0.0.1:{free_port()}") as endpoint:
        with pytest.raises(RpcUnavailableError):
            await endpoint.call("eth_sendRawTransaction", ["0x00"])


async def test_no_answer_in_time_may_have_happened(front):
    async with RpcEndpoint(front.url, timeout_s=0.05) as endpoint:
        stuck = asyncio.Event()

        async def never(_call):
            await stuck.wait()
            return {}

        front._one = never  # the answer waits for an event that nobody sets
        with pytest.raises(RpcTimeoutError):
            await endpoint.call("eth_sendRawTransaction", ["0x00"])
        stuck.set()


async def test_a_broken_connection_is_tried_again_only_if_that_changes_nothing(front, endpoint):
    front.cut = True
    with pytest.raises(RpcOutcomeUnknownError):
        await endpoint.call("eth_sendRawTransaction", ["0x00"])
    assert front.requests == 1
    with pytest.raises(RpcOutcomeUnknownError):
        await endpoint.call("eth_blockNumber")
    assert front.requests == 3


async def test_a_batch_is_answered_in_any_order_and_may_partly_fail(front, endpoint):
    def change(method, _params, _result):
        if method == "eth_bad":
            raise RefusedError("invalid argument", -32602)
        return method

    front.change = change
    good, bad, last = await endpoint.batch([("eth_a", []), ("eth_bad", []), ("eth_c", [])])
    assert (good, last) == ("eth_a", "eth_c")
    assert isinstance(bad, RpcInvalidParameterError)

    def shuffled(calls):
        answers = [{"id": call["id"], "result": call["method"]} for call in calls]
        return web.json_response(answers[::-1])

    front.raw = shuffled
    assert await endpoint.batch([("eth_a", []), ("eth_b", [])]) == ["eth_a", "eth_b"]


async def test_an_answer_missing_from_a_batch_is_that_calls_error(front, endpoint):
    front.raw = lambda calls: web.json_response([{"id": calls[1]["id"], "result": 5}, "noise", 7])
    missing, there = await endpoint.batch([("eth_a", []), ("eth_b", [])])
    assert there == 5
    assert isinstance(missing, RpcProtocolError)


async def test_one_error_for_a_whole_batch_is_raised(front, endpoint):
    front.raw = answer(200, '{"id":null,"error":{"code":-32005,"message":"daily request limit"}}')
    with pytest.raises(RpcRateLimitedError):
        await endpoint.batch([("eth_a", []), ("eth_b", [])])


async def test_a_long_batch_goes_out_in_several_requests(front, endpoint):
    front.change = lambda _method, params, _result: params[0]
    calls = [("eth_a", [number]) for number in range(2 * MAX_BATCH + 1)]
    assert await endpoint.batch(calls) == list(range(2 * MAX_BATCH + 1))
    assert front.requests == 3
    assert await endpoint.batch([]) == []


async def test_the_key_in_the_address_of_a_node_is_never_shown(front):
    secret = "k3y-of-a-hosted-service"
    async with RpcEndpoint(f"{front.url}/v3/{secret}", headers={"X-Key": secret}) as endpoint:
        front.raw = answer(500)
        with pytest.raises(RpcServerError) as caught:
            await endpoint.call("eth_x")
        assert secret not in repr(endpoint) + endpoint.name + str(caught.value)


@pytest.mark.parametrize("url", ["", "ws://127.0.0.1", "127.0.0.1:8545", "http://"])
async def test_only_http_addresses_are_taken(url):
    with pytest.raises(InvalidInputError):
        RpcEndpoint(url)

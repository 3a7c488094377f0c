"""Whatever comes over the socket: typed answers or a closed connection, nothing credited."""

import asyncio
import json
import os
import random
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millpond.mining.stratum import StratumLimits, wire
from tests.mining.stratum.helpers import Client, Pool

LONG = os.environ.get("MILLPOND_CAMPAIGN") == "long"
ROUNDS = 20_000 if LONG else 2_000

SEEDS = [
    b'{"id":1,"method":"mining.subscribe","params":["x/1","00"]}',
    b'{"id":2,"method":"mining.authorize","params":["wallet.rig","d=1024"]}',
    b'{"id":4,"method":"mining.submit","params":["wallet.rig","JOB","00000000","65000000","00000000"]}',
    b'{"id":4,"method":"mining.submit","params":["wallet.rig","JOB","0","1","2","3fffffff"]}',
    b'{"id":5,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000"}]}',
    b'{"id":6,"method":"mining.suggest_difficulty","params":[1e-3]}',
    b'{"id":7,"method":"mining.suggest_target","params":["00ff"]}',
    b'{"id":8,"method":"mining.get_transactions","params":["JOB"]}',
    b'{"id":9,"result":true,"error":null}',
]

NASTY = [
    b"",
    b"\r",
    b"{}",
    b"[]",
    b"null",
    b"nan",
    b'"x"',
    b"{" * 3000,
    b"[" * 3000,
    b'{"id":' + b"[" * 2000 + b"]" * 2000 + b',"method":"mining.ping"}',
    b'{"id":{"a":1},"method":"mining.ping"}',
    b'{"id":' + b"9" * 3000 + b',"method":"mining.ping"}',
    b'{"id":"' + b"x" * 3000 + b'","method":"mining.ping"}',
    b'{"id":NaN,"method":"mining.ping"}',
    b'{"id":1,"id":2,"method":"a","method":"mining.ping"}',
    b'{"id":1,"method":5,"params":[]}',
    b'{"id":1,"method":"mining.submit","params":{"a":1}}',
    b'{"id":1,"method":"mining.submit","params":[[],{},null,true,1.5]}',
    b'{"id":1,"method":"mining.submit","params":["","","","",""]}',
    b'{"id":1,"method":"mining.submit","params":["wallet.rig","\\u0000","0","0","0"]}',
    b'{"id":1,"method":"mining.suggest_difficulty","params":[1e400]}',
    b'{"id":1,"method":"mining.suggest_difficulty","params":[-1]}',
    b'{"id":1,"method":"mining.suggest_difficulty","params":[' + b"9" * 400 + b"]}",
    b'{"id":1,"method":"mining.suggest_difficulty","params":["Infinity"]}',
    b'{"id":1,"method":"mining.suggest_target","params":["' + b"0" * 64 + b'"]}',
    b'{"id":1,"method":"mining.authorize","params":["\\ud800"]}',
    b'{"id":1,"method":"mining.configure","params":[[1,null,{}],[]]}',
    b'{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":{}}]}',
    b"\xff\xfe\x00\x01",
    b"GET / HTTP/1.1",
    b'{"method":"mining.subscribe","params":["' + b"a" * 3500 + b'"]}',
]


def check_answers(data: bytes) -> None:
    """Every line is an answer or a notice with the usual fields and numbers."""
    for line in data.split(b"\n")[:-1]:
        message = json.loads(line)
        if "method" in message:
            assert set(message) == {"id", "method", "params"}
            continue
        assert set(message) == {"id", "result", "error"}
        if message["error"] is not None:
            code, sentence, rest = message["error"]
            assert 20 <= code <= 25
            assert sentence
            assert rest is None


async def ask_and_hang_up(client: Client, data: bytes) -> None:
    client.send(data)
    client.writer.write_eof()
    check_answers(await client.closed())
    await client.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


LENIENT = StratumLimits(max_malformed=10**9, invalid_window=10**9)


@pytest.mark.parametrize("line", NASTY, ids=range(len(NASTY)))
async def test_nasty_lines_are_answered_and_the_next_one_is_understood(line: bytes):
    async with Pool(limits=LENIENT) as pool:
        client = await pool.client()
        client.send(line + b'\n{"id":"after","method":"mining.ping","params":[]}\n')
        while (answer := await client.answer())["id"] != "after":
            check_answers(json.dumps(answer).encode() + b"\n")
        assert answer["result"] == "pong"
        assert pool.log.shares == []


def mutated(chance: random.Random, job: bytes) -> bytes:
    """A few good lines with a few bytes changed, cut, doubled or spliced."""
    lines = [chance.choice(SEEDS).replace(b"JOB", job) for _ in range(chance.randrange(1, 6))]
    data = bytearray(b"\n".join(lines) + b"\n")
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 20)]
            case 2:
                data[at:at] = data[at : at + chance.randrange(1, 40)] * chance.randrange(1, 30)
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 20))
            case _:
                data[at:at] = chance.choice(NASTY)
        if not data:
            return b"\n"
    return bytes(data)


async def test_mutated_requests_get_typed_answers_and_memory_stays_bounded():
    chance = random.Random(46)
    async with Pool(limits=LENIENT) as pool:
        job = pool.current.encode()
        before = resident_bytes()
        for number in range(ROUNDS):
            client = await pool.client()
            pool.clients.clear()
            await ask_and_hang_up(client, mutated(chance, job))
            if number % 100 == 0:
                assert resident_bytes() - before < 64 * 1024 * 1024
        assert all(worker == "wallet.rig" for worker, _, _ in pool.log.shares)
        miner = await pool.miner("wallet.good")
        assert (await miner.call("mining.ping"))["result"] == "pong"


async def test_random_bytes_end_in_a_closed_connection():
    chance = random.Random(47)
    async with Pool() as pool:
        for _ in range(ROUNDS // 4):
            client = await pool.client()
            pool.clients.clear()
            await ask_and_hang_up(client, chance.randbytes(chance.randrange(1, 20_000)))
        assert pool.log.shares == []
        assert pool.log.rejects == []


async def test_a_line_without_end_is_cut_off_at_the_limit():
    async with Pool() as pool:
        client = await pool.client()
        assert (await client.call("mining.ping"))["result"] == "pong"
        sent = 0
        while pool.server.connections and sent < 1_000_000:
            client.send(b"x" * 1000)
            sent += 1000
            await asyncio.sleep(0)
        check_answers(await client.closed())
        assert pool.server.connections == 0


async def test_too_many_malformed_lines_end_the_connection():
    async with Pool() as pool:
        client = await pool.client()
        client.send(b"junk\n" * 100)
        assert (await client.closed()).count(b"\n") == StratumLimits().max_malformed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)
methods = st.sampled_from([json.loads(seed).get("method") for seed in SEEDS]) | json_values


@settings(
    max_examples=5000 if LONG else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(json_values, methods, json_values), max_size=8))
def test_any_json_gets_typed_answers(requests):
    async def run() -> None:
        async with Pool(limits=LENIENT) as pool:
            client = await pool.client()
            for number, method, params in requests:
                body = {"id": number, "method": method, "params": params}
                client.send(json.dumps(body).encode() + b"\n")
            client.send(b'{"id":"end","method":"mining.ping"}\n')
            while (answer := await client.answer())["id"] != "end":
                check_answers(json.dumps(answer).encode() + b"\n")
            assert pool.log.shares == []

    asyncio.run(run())


@given(st.binary(max_size=300))
def test_the_decoder_takes_any_bytes(line):
    request = wire.decode(line)
    assert request is None or len(wire.request_id(request)) <= wire.MAX_ID

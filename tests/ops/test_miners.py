"""The operator's socket: bounded, local, and nothing that could harm a terminal."""

import asyncio
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from millpond.errors import InvalidInputError, UnavailableError
from millpond.ops.miners import Message, MinersDesk, Reconnect, Renumber, Word, tell
from millpond.ops.process import miners_socket
from tests.mining.stratum.helpers import Pool


def desk_of(pool: Pool) -> MinersDesk:
    return MinersDesk([cast("Any", SimpleNamespace(server=pool.server))])


async def test_each_word_arrives_and_is_written_down(tmp_path: Path):
    with structlog.testing.capture_logs() as logs:
        async with Pool() as pool:
            client = await pool.miner()
            await client.call("mining.extranonce.subscribe")
            desk = desk_of(pool)
            await desk.start(tmp_path)
            path = miners_socket(tmp_path)
            assert path is not None
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            answers = [
                await asyncio.to_thread(tell, tmp_path, word)
                for word in (
                    Message(actor="anna", text="hello", worker="wallet"),
                    Reconnect(actor="anna", port=4444),
                    Renumber(actor="anna", prefix=9),
                )
            ]
            await desk.stop()
            assert [answer.reached for answer in answers] == [1, 1, 1]
            assert await client.until("client.show_message") == ["hello"]
            assert await client.until("client.reconnect") == [None, 4444, 0]
            assert (await client.until("mining.set_extranonce"))[0][:2] == "09"
    acts = [(entry["act"], entry["actor"]) for entry in logs]
    assert acts == [("message", "anna"), ("reconnect", "anna"), ("renumber", "anna")]


@pytest.mark.parametrize(
    "word",
    [
        Message(actor="a", text="x" * 301),
        Message(actor="a", text=""),
        Message(actor="a", text="\x1b[2J"),
        Message(actor="a", text="x", worker="a\nb"),
        Message(actor="a\r", text="x"),
        Reconnect(actor="a", host="a b"),
        Reconnect(actor="a", port=65536),
        Reconnect(actor="a", wait_s=-1),
        Renumber(actor="a", prefix=256),
    ],
)
async def test_words_out_of_bounds_are_refused_on_both_sides(word: Word, tmp_path: Path):
    with pytest.raises(InvalidInputError):
        tell(tmp_path, word)
    async with Pool() as pool:
        with pytest.raises(InvalidInputError):
            desk_of(pool).act(word)


async def test_what_is_no_word_gets_an_error_or_nothing(tmp_path: Path):
    async with Pool() as pool:
        desk = desk_of(pool)
        await desk.start(tmp_path)
        for line, answer in ((b"{}\n", b'"error":"'), (b"x" * 20_000 + b"\n", b"")):
            reader, writer = await asyncio.open_unix_connection(miners_socket(tmp_path))
            writer.write(line)
            try:
                said = await asyncio.wait_for(reader.read(), 20)
            except ConnectionResetError:
                said = b""
            writer.close()
            assert answer in said
            assert bool(said) == bool(answer)
        await desk.stop()


def test_without_a_running_edge_the_command_says_so(tmp_path: Path):
    with pytest.raises(UnavailableError, match="no edge"):
        tell(tmp_path, Message(actor="a", text="x"))

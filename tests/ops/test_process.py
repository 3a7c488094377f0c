"""Two pools never share a data directory; a taken port gives way to the next."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.clock import ManualClock
from millpond.errors import UnavailableError
from millpond.ops.heartbeat import Pulse, read_heartbeats
from millpond.ops.metrics import gather
from millpond.ops.process import (
    DataDirInUseError,
    any_free_port,
    exclusive,
    is_held,
    next_free_port,
    port_is_free,
)


def test_the_collector_looks_less_often_and_still_collects():
    # In a process of its own: the numbers are the whole interpreter's.
    code = """
import gc, weakref
from millpond.ops.process import collect_less_often
class Node: pass
before = gc.get_threshold()
collect_less_often()
assert gc.get_threshold()[0] > 10 * before[0] and gc.isenabled() and gc.get_freeze_count() > 1000
node = Node(); node.itself = node; gone = weakref.ref(node); del node
kept = [[] for _ in range(200_000)]
assert gone() is None, "what goes in circles is found"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path):
    lock = tmp_path / "deep" / "millpond.lock"
    assert not is_held(lock)
    with exclusive(lock, "a pool"):
        assert is_held(lock)
        second = exclusive(lock, "a pool")
        with pytest.raises(DataDirInUseError, match=f"process {os.getpid()}"):
            second.__enter__()
    assert not is_held(lock)
    with exclusive(lock, "a pool"):
        pass


def test_a_process_uses_all_the_open_files_it_is_allowed():
    program = (
        "import resource, socket\n"
        "from millpond.ops.process import allow_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "assert allow_open_files() == allow_open_files() == 512\n"
        "kept = [socket.socket() for _ in range(200)]\n"
        "print(len(kept))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "200\n"), done.stderr


def test_a_taken_port_gives_way_to_the_next_free_one():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        found = next_free_port("127.0.0.1", port)
        assert found > port
        assert next_free_port("127.0.0.1", port, {found}) > found
    assert port_is_free("127.0.0.1", port)
    assert any_free_port("127.0.0.1") > 0


def test_running_out_of_ports_is_an_error():
    with pytest.raises(UnavailableError, match="no port from"):
        next_free_port("127.0.0.1", 65535, {65535})


async def test_a_part_tells_its_state_until_it_stops(tmp_path: Path):
    clock = ManualClock()
    read_fd, write_fd = os.pipe()
    pulse = Pulse("edge", tmp_path, clock, notify_fd=write_fd, metrics=lambda: b"")
    assert read_heartbeats(tmp_path)[0].state == "starting"
    pulse.lag("fold_s", 1.5)
    pulse.error("the daemon does not answer")
    pulse.say("ready", "stratum+tcp://127.0.0.1:3333")
    pulse.say("ready", "stratum+tcp://127.0.0.1:3333")
    beat = read_heartbeats(tmp_path)[0]
    assert (beat.state, beat.lag, beat.last_error) == (
        "ready",
        {"fold_s": 1.5},
        "the daemon does not answer",
    )
    assert os.read(read_fd, 65536).count(b"\n") == 1
    (tmp_path / "junk.json").write_text("{")
    assert [beat.part for beat in read_heartbeats(tmp_path)] == ["edge"]
    pulse.close()
    assert read_heartbeats(tmp_path) == []
    os.close(read_fd)
    os.close(write_fd)


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_part(tmp_path: Path):
    in_the_way = tmp_path / f".edge.json.{os.getpid()}"
    in_the_way.mkdir()
    pulse = Pulse("edge", tmp_path, ManualClock())
    pulse.say("ready", "a full disk")
    assert read_heartbeats(tmp_path) == []
    in_the_way.rmdir()
    pulse.say("ready", "room again")
    assert [beat.detail for beat in read_heartbeats(tmp_path)] == ["room again"]
    pulse.close()


def test_metrics_of_all_parts_make_one_page(tmp_path: Path):
    clock = ManualClock()
    text = b'# HELP shares_total Shares.\n# TYPE shares_total counter\nshares_total{pool="p"} %d\n'
    Pulse("edge", tmp_path, clock, metrics=lambda: text % 3)
    Pulse("worker", tmp_path, clock, metrics=lambda: text % 4)
    page = gather(tmp_path, clock).decode()
    assert 'shares_total{part="edge",pool="p"} 3.0' in page
    assert 'shares_total{part="worker",pool="p"} 4.0' in page
    assert page.count("# TYPE shares_total counter") == 1
    assert 'millpond_part_up{part="edge"} 1.0' in page
    clock.advance(60)
    page = gather(tmp_path, clock).decode()
    assert 'millpond_part_up{part="edge"} 0.0' in page
    assert "shares_total" not in page

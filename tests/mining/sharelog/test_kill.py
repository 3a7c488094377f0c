"""kill -9 at any moment loses no share that was reported as durable."""

import os
import random
import subprocess
import sys

import pytest

from millpond.mining.sharelog.reader import ShareLogReader

ROUNDS = 60 if os.environ.get("MILLPOND_CAMPAIGN") == "long" else 3


def killed_run(url: str, first: int, reports: int) -> list[int]:
    """Let a writer report so many shares, kill it, and return all that it reported."""
    command = [sys.executable, "-m", "tests.mining.sharelog.victim", url, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(reports)]
        process.kill()
        lines += process.stdout.readlines()
    # The last line may have been cut short by the kill.
    return [int(line) for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("sharelog_url", ["sqlite", "postgresql"], indirect=True)
async def test_no_reported_share_is_lost_and_none_is_there_twice(sharelog_url: str):
    chance = random.Random(20261121)
    reported: list[int] = []
    first = 1
    for _ in range(ROUNDS):
        reported += killed_run(sharelog_url, first, chance.randrange(1, 900))
        first = max(reported) + 1_000_000
    reader = await ShareLogReader.open(sharelog_url)
    stored: list[int] = []
    after = None
    while found := await reader.groups("p", after):
        after = found[-1].position
        stored += [share.difficulty for group in found for share in group.shares()]
    assert len(stored) == len(set(stored))
    assert set(reported) <= set(stored)
    assert len(reported) >= ROUNDS
    verified = await reader.verify("p")
    assert verified.faults == []
    assert verified.shares == len(stored)
    await reader.close()

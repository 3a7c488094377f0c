"""A process that appends shares as fast as it can and says which are durable.

`python -m tests.mining.sharelog.victim URL FIRST`: share numbers from FIRST on
become difficulties; a number is printed when its commit was reported.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tests.mining.sharelog.helpers import Log

_IN_FLIGHT = 200


async def main(url: str, first: int) -> None:
    log = Log(url, linger_ms=0.5)
    said = 0
    await log.writer.start()
    number = first
    while True:
        while number - first - len(log.done) < _IN_FLIGHT:
            assert log.add(number, f"w{number % 7}.x", difficulty=number)
            number += 1
        await log.writer.flushed()
        report = "".join(f"{done}\n" for done in log.done[said:])
        said = len(log.done)
        os.write(1, report.encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

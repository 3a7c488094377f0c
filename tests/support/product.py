"""`millpond up` as a user runs it: a real process tree on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

T = TypeVar("T")
COMMAND = (sys.executable, "-m", "millpond")
READY_S = 120.0


def environment(data: Path, **settings: object) -> dict[str, str]:
    """The environment of a pool with its data in `data`; settings as `http__port=0`."""
    found = {name: value for name, value in os.environ.items() if "MILLPOND" not in name}
    found["MILLPOND__DATA_DIR"] = str(data)
    chosen = {
        "http__port": 0,
        "stratum__ports": "[0]",
        "devchain__port": 0,
        "devevm__port": 0,
        "devevm__enabled": "no",
    } | settings
    for name, value in chosen.items():
        found[f"MILLPOND__{name.upper()}"] = str(value)
    return found


def millpond(
    *arguments: str, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Pool:
    """One `millpond up`; may be started again on the same data."""

    def __init__(self, data: Path, config: Path | None = None, **settings: object) -> None:
        self.data = data
        self.config = config
        self.env = environment(data, **settings)
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._heard = threading.Condition()
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def start(self) -> None:
        """Start, and wait until all parts are ready."""
        self.launch()
        self.wait_for_line("  pages ")

    def launch(self) -> None:
        """Start, and wait for nothing."""
        options = ("--config", str(self.config)) if self.config else ()
        self.lines = []
        self.process = subprocess.Popen(
            [*COMMAND, "up", *options],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def wait_for_line(self, words: str, timeout_s: float = READY_S) -> str:
        """The first line that `up` says with `words` in it."""
        deadline = time.monotonic() + timeout_s
        with self._heard:
            while True:
                for line in self.lines:
                    if words in line:
                        return line
                assert self.process is not None
                ended = self.process.poll() is not None and self._reader_done()
                assert not ended, "\n".join(["it ended:", *self.lines])
                left = deadline - time.monotonic()
                assert left > 0, "\n".join([f"no line says {words!r}:", *self.lines])
                self._heard.wait(min(left, 0.2))

    @property
    def url(self) -> str:
        return self.wait_for_line("  pages ").split()[1].rstrip("/")

    @property
    def stratum_port(self) -> int:
        return int(self.wait_for_line("  miners ").split()[1].rsplit(":", 1)[1])

    def get(self, path: str) -> Any:
        """What the API answers; None while it does not."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in {429, 503}:
                raise
        except OSError:
            return None
        return None

    def until(self, what: str, look: Callable[[], T | None], timeout_s: float = 120) -> T:
        """Look until there is something to see."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = look()
            if found:
                return found
            assert self.process is not None
            assert self.process.poll() is None, "\n".join(["it ended:", *self.lines])
            assert time.monotonic() < deadline, "\n".join([f"no {what}:", *self.lines, self.logs()])
            time.sleep(0.7)

    def blocks(self, state: str, pool: str = "dev-main") -> list[dict[str, Any]]:
        """Blocks in a state, as the API tells."""
        page = self.get(f"/api/v1/pools/{pool}/blocks?limit=100") or {"items": []}
        return [block for block in page["items"] if block["state"] == state]

    def payments(self, state: str, pool: str = "dev-main") -> list[dict[str, Any]]:
        """Payouts in a state, as the API tells."""
        page = self.get(f"/api/v1/pools/{pool}/payments?limit=100") or {"items": []}
        return [payout for payout in page["items"] if payout["state"] == state]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same configuration."""
        env = dict(self.env)
        if self.config is not None:
            env["MILLPOND_CONFIG"] = str(self.config)
        return millpond(*arguments, env=env)

    def children(self) -> list[psutil.Process]:
        """All processes of the tree but the supervisor."""
        assert self.process is not None
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def stop(self) -> int:
        """Stop as Ctrl-C would; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=90)
        self._join()
        return code

    def kill(self) -> None:
        """`kill -9` the supervisor and wait until the whole tree is gone."""
        assert self.process is not None
        children = self.children()
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == [], "the kernel ends every part"
        self._join()

    def logs(self) -> str:
        """The last lines of every part's log."""
        tails = []
        for path in sorted((self.data / "logs").glob("*.log")):
            tails += [f"--- {path.name}", *path.read_text().splitlines()[-8:]]
        return "\n".join(tails)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._heard:
                self.lines.append(line.rstrip("\n"))
                self._heard.notify_all()

    def _reader_done(self) -> bool:
        return self._reader is None or not self._reader.is_alive()

    def _join(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        if self._reader is not None:
            self._reader.join(timeout=30)
        self.process.stdout.close()

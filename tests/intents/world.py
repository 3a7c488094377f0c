"""A tiny real outside world: its own process, its own database, bad manners.

It takes effects idempotently by their identity, and, as the seed decides,
loses answers after accepting, loses requests before, delays, refuses, and
answers wrongly. What it has accepted is the truth that a test compares with.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

REFUSED_SHARE = 0.08
"""Identities that the world honestly refuses, always."""


class World:
    """The facts, behind one lock."""

    def __init__(self, path: Path, seed: int, *, rude: bool) -> None:
        self.seed, self.rude = seed, rude
        self.lock = threading.Lock()
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.execute("pragma journal_mode = wal")
        self.database.execute(
            "create table if not exists effect (identity text primary key, key text, body text)"
        )
        self.asked: dict[str, int] = {}

    def chance(self, *parts: object) -> float:
        digest = hashlib.sha256(repr((self.seed, parts)).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def send(self, identity: str, body: str) -> tuple[int, dict[str, Any]] | None:
        """Status and answer; None: the connection is cut instead."""
        with self.lock:
            self.asked[identity] = self.asked.get(identity, 0) + 1
            number = self.asked[identity]
        manners = self.chance("send", identity, number) if self.rude else 1.0
        if self.rude and self.chance("refuse", identity) < REFUSED_SHARE:
            return None if manners < 0.3 else (200, {"verdict": "rejected"})
        if manners < 0.12:
            return None
        if manners < 0.18:
            return 200, {"verdict": "accepted"}
        if manners < 0.30:
            time.sleep(0.25)
        self.accept(identity, body)
        if manners < 0.50:
            return None
        status = 500 if manners < 0.56 else 200
        return status, {"verdict": "rejected" if 0.56 <= manners < 0.62 else "accepted"}

    def accept(self, identity: str, body: str) -> None:
        with self.lock:
            self.database.execute(
                "insert or ignore into effect values (?, ?, ?)",
                (identity, json.loads(body)["key"], body),
            )

    def look(self, identity: str) -> tuple[int, dict[str, Any]] | None:
        with self.lock:
            self.asked["look" + identity] = number = self.asked.get("look" + identity, 0) + 1
            found = self.database.execute(
                "select 1 from effect where identity = ?", (identity,)
            ).fetchone()
        manners = self.chance("look", identity, number) if self.rude else 1.0
        if manners < 0.08:
            return None
        if manners < 0.14:
            return 500, {}
        if not found:
            return 200, {"depth": -1}
        return 200, {"depth": 0 if manners < 0.3 else min(number, 3)}


def serve(path: Path, seed: int, rude: bool, port_to: Connection) -> None:
    """Be the world until the process is ended."""
    world = World(path, seed, rude=rude)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            asked = json.loads(self.rfile.read(size))
            if self.path == "/send":
                answer = world.send(asked["identity"], asked["body"])
            else:
                answer = world.look(asked["identity"])
            if answer is None:
                self.close_connection = True
                return
            status, document = answer
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    port_to.send(server.server_address[1])
    server.serve_forever()

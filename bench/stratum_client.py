"""A load client that costs as little as it can: one epoll loop, no parsing.

The pool's difficulty is so low that nearly every hash meets it, so shares
need no work; they differ by their nonce.
"""

from __future__ import annotations

import json
import select
import socket
import time
from array import array


class Fleet:
    """Miners that are connected, authorized and ready to submit."""

    def __init__(self, port: int, count: int, wallet: str) -> None:
        self.port = port
        self.wallet = wallet
        self.sockets: dict[int, socket.socket] = {}
        self.prefixes: dict[int, bytes] = {}
        self.epoll = select.epoll()
        self.nonce = 0
        for number in range(count):
            self._connect(number)

    def _connect(self, number: int) -> None:
        client = socket.create_connection(("127.0.0.1", self.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets[client.fileno()] = client
        worker = f"{self.wallet}.rig{number}"
        client.sendall(
            b'{"id":1,"method":"mining.subscribe","params":["bench"]}\n'
            b'{"id":2,"method":"mining.authorize","params":["%b","x"]}\n' % worker.encode()
        )
        client.settimeout(30)
        data = b""
        while data.count(b"\n") < 4:
            piece = client.recv(65536)
            if not piece:
                raise ConnectionError(data)
            data += piece
        job = json.loads(data.split(b"\n")[3])["params"]
        client.setblocking(False)
        self.prefixes[client.fileno()] = (
            b'{"id":7,"method":"mining.submit","params":["%b","%b","00000000","%b","'
            % (worker.encode(), job[0].encode(), job[7].encode())
        )
        self.epoll.register(client.fileno(), select.EPOLLIN)

    def batch(self, fd: int, size: int) -> bytes:
        """The next `size` shares of a connection."""
        prefix, first = self.prefixes[fd], self.nonce
        self.nonce += size
        return b"".join([b'%b%08x"]}\n' % (prefix, n) for n in range(first, first + size)])

    def load(self, seconds: float, size: int) -> tuple[int, int, float, array[float]]:
        """Every miner sends `size` shares, and the next when all are answered.

        Returns shares accepted, shares refused, seconds, and round trips in ms.
        """
        clock = time.perf_counter
        waiting = dict.fromkeys(self.sockets, size)
        sent = {}
        trips: array[float] = array("d")
        accepted = refused = 0
        started = clock()
        for fd, client in self.sockets.items():
            sent[fd] = clock()
            client.send(self.batch(fd, size))
        until = started + seconds
        busy = len(self.sockets)
        while busy:
            for fd, _ in self.epoll.poll(10):
                data = self.sockets[fd].recv(65536)
                good = data.count(b"true")
                answers = data.count(b"\n")
                accepted += good
                refused += answers - good
                left = waiting[fd] - answers
                if left:
                    waiting[fd] = left
                    continue
                now = clock()
                trips.append((now - sent[fd]) * 1e3)
                if now >= until:
                    busy -= 1
                    continue
                waiting[fd] = size
                sent[fd] = now
                self.sockets[fd].send(self.batch(fd, size))
        return accepted, refused, clock() - started, trips

    def notified(self) -> array[float]:
        """Times (`perf_counter`) at which each connection got its next message."""
        clock = time.perf_counter
        times: array[float] = array("d")
        seen: set[int] = set()
        while len(seen) < len(self.sockets):
            ready = self.epoll.poll(10)
            if not ready:
                raise TimeoutError("a miner was not notified")
            for fd, _ in ready:
                self.sockets[fd].recv(65536)
                if fd not in seen:
                    seen.add(fd)
                    times.append(clock())
        return times

    def close(self) -> None:
        """End it and wait for that."""
        for client in self.sockets.values():
            client.close()
        self.epoll.close()

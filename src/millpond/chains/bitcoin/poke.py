"""Tell a running pool of a new block: for a daemon's `-blocknotify`.

    litecoind -blocknotify="python -m millpond.chains.bitcoin.poke 127.0.0.1:18999 %s"

The address is `host:port`, or `unix:/path/to/socket`. Needs nothing but the
standard library, and gives up after two seconds.
"""

from __future__ import annotations

import socket
import sys

_TIMEOUT_S = 2.0


def poke(address: str, block_hash: str = "") -> None:
    """Send one line with the block's hash and wait until it was taken.

    Raises:
        OSError: Nobody listens there, or nobody answers in time.
        ValueError: The address is not of a known form.
    """
    with _connect(address) as connection:
        connection.sendall(block_hash.encode() + b"\n")
        connection.recv(16)


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_S)
        connection.connect(address.removeprefix("unix:"))
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)


def main() -> int:
    """Entry point; exit code 1 when nobody was there, 2 on wrong use."""
    if len(sys.argv) not in {2, 3}:
        sys.stderr.write("usage: python -m millpond.chains.bitcoin.poke ADDRESS [BLOCK_HASH]\n")
        return 2
    try:
        poke(*sys.argv[1:])
    except ValueError:
        sys.stderr.write("the address is host:port or unix:/path\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"nobody was told: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

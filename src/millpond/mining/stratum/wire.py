"""Stratum V1 on the wire: JSON-RPC 1.0 in lines.

A request's `id` is kept as the bytes that came, so that the answer repeats it
exactly, whatever a miner uses (numbers, strings, null, the same one for ever).
"""

from __future__ import annotations

from typing import Any

import msgspec

from millpond.mining.difficulty import to_float
from millpond.mining.work.job import NotifyFields
from millpond.mining.work.validate import Rejected

MAX_ID = 64
"""Longest `id` that is repeated, bytes of JSON."""

NULL = b"null"

_ID_STARTS = frozenset(b'"-0123456789n')


class Request(msgspec.Struct, gc=False):
    """One line from a miner; an answer to something that we asked has no method."""

    method: str | None = None
    params: Any = None
    id: msgspec.Raw = msgspec.Raw(NULL)


_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


def decode(line: bytes) -> Request | None:
    """Read a line; None if it is no request."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def request_id(request: Request) -> bytes:
    """The `id` to repeat; `null` for one that no miner has reason to send."""
    raw = bytes(request.id)
    if len(raw) > MAX_ID or raw[0] not in _ID_STARTS:
        return NULL
    return raw


def result(request: bytes, value: Any) -> bytes:
    """A good answer."""
    return b'{"id":%b,"result":%b,"error":null}\n' % (request, _encode(value))


def error(request: bytes, code: int, message: str) -> bytes:
    """A bad answer, with the usual number (20 to 25) and a sentence."""
    return b'{"id":%b,"result":null,"error":[%d,%b,null]}\n' % (request, code, _encode(message))


def rejected(request: bytes, verdict: Rejected) -> bytes:
    """The answer to a share that is not taken."""
    return error(request, int(verdict.code), verdict.message)


def notification(method: str, *params: Any) -> bytes:
    """A message that nobody answers."""
    return b'{"id":null,"method":%b,"params":%b}\n' % (_encode(method), _encode(params))


def set_difficulty(difficulty: int) -> bytes:
    """`mining.set_difficulty`; whole numbers are written as such."""
    value = to_float(difficulty)
    return notification("mining.set_difficulty", int(value) if value.is_integer() else value)


def set_extranonce(extranonce1: bytes, extranonce2_size: int) -> bytes:
    """`mining.set_extranonce`: in force from the next job on."""
    return notification("mining.set_extranonce", extranonce1.hex(), extranonce2_size)


def reconnect(host: str, port: int, wait_s: int) -> bytes:
    """`client.reconnect`; what is empty or 0 stays as it is, and is left out if all is."""
    if not (host or port or wait_s):
        return notification("client.reconnect")
    return notification("client.reconnect", host or None, port or None, wait_s)


def notify_tail(fields: NotifyFields) -> bytes:
    """What follows the job's name in `mining.notify`, up to `clean_jobs`."""
    body = _encode(
        [
            fields.prev_hash,
            fields.coinbase1,
            fields.coinbase2,
            fields.merkle_branch,
            fields.version,
            fields.bits,
            fields.ntime,
        ]
    )
    return b'",' + body[1:-1]


def notify(job_id: str, tail: bytes, *, clean: bool) -> bytes:
    """`mining.notify` of a job under a name."""
    end = b",true]}\n" if clean else b",false]}\n"
    return b'{"id":null,"method":"mining.notify","params":["' + job_id.encode() + tail + end

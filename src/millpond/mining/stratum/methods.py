"""Everything a miner says besides shares.

Each method takes the session, the server, the request's id as it came and its
parameters, a list of anything. What real miners leave out is not missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from millpond import __version__
from millpond.errors import MillpondError
from millpond.mining.difficulty import MAX_TARGET, from_float, target_to_difficulty
from millpond.mining.stratum import wire
from millpond.mining.stratum.contract import Connection, Host
from millpond.mining.work.validate import RejectCode

Method: TypeAlias = Callable[[Connection, Host, bytes, list[Any]], None]

MAX_NAME = 256
"""Longest `wallet.worker_name`."""

_MAX_TRANSACTIONS_BYTES = 100_000


def configure(session: Connection, server: Host, request: bytes, params: list[Any]) -> None:
    """`mining.configure` (BIP 310): extensions wanted, and their options."""
    wanted = params[0] if params and isinstance(params[0], list) else []
    options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
    answer: dict[str, Any] = {}
    for extension in wanted[:16]:
        if not isinstance(extension, str) or len(extension) > 64:
            continue
        if extension == "version-rolling":
            mask = _mask(options.get("version-rolling.mask", "ffffffff")) & server.version_mask
            session.version_mask = mask
            answer["version-rolling"] = bool(mask)
            if mask:
                answer["version-rolling.mask"] = f"{mask:08x}"
        elif extension == "minimum-difficulty":
            asked = _difficulty(options.get("minimum-difficulty.value"))
            session.floor = asked or 0
            answer["minimum-difficulty"] = asked is not None
        else:
            answer[extension] = extension in {"subscribe-extranonce", "info"}
            if extension == "subscribe-extranonce":
                session.follows_extranonce = True
    session.send(wire.result(request, answer))


def subscribe(session: Connection, server: Host, request: bytes, params: list[Any]) -> None:
    """`mining.subscribe`: an extranonce1, the earlier one if the session id fits."""
    if not session.extranonce1:
        asked = params[1] if len(params) > 1 and isinstance(params[1], str) else ""
        resumed = server.extranonces.resume(asked) if asked else None
        try:
            session.extranonce1 = resumed or server.extranonces.take()
        except MillpondError as error:
            session.send(wire.error(request, RejectCode.OTHER, error.message))
            session.close()
            return
    session_id = server.extranonces.session_id(session.extranonce1)
    subscriptions = [["mining.set_difficulty", session_id], ["mining.notify", session_id]]
    answer = [subscriptions, session.extranonce1.hex(), server.extranonce2_size]
    session.send(wire.result(request, answer))
    if session.worker and not session.started:
        session.begin()


def authorize(session: Connection, server: Host, request: bytes, params: list[Any]) -> None:
    """`mining.authorize`: `wallet.worker_name`, and options in the password (`d=1024`)."""
    name = params[0] if params else None
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        session.send(wire.error(request, RejectCode.UNAUTHORIZED, "The worker has no usable name"))
        return
    known = session.workers if session.workers is not None else set()
    if name not in known and len(known) >= server.limits.max_workers:
        session.send(wire.error(request, RejectCode.UNAUTHORIZED, "Too many workers"))
        return
    try:
        logged = server.check_worker(name)
    except MillpondError as error:
        server.stats.refused_logins += 1
        session.send(wire.error(request, RejectCode.UNAUTHORIZED, error.message))
        return
    known.add(name)
    if logged != name:
        session.log_names = {**(session.log_names or {}), name: logged}
    session.workers = known
    session.send(wire.result(request, value=True))
    if not session.worker:
        session.worker = name
        password = params[1] if len(params) > 1 and isinstance(params[1], str) else ""
        _choose_difficulty(session, server, password)
        if session.extranonce1:
            session.begin()


def suggest_difficulty(
    session: Connection, server: Host, request: bytes, params: list[Any]
) -> None:
    """`mining.suggest_difficulty`: where to begin; vardiff goes on from there."""
    _suggest(session, server, request, _difficulty(params[0] if params else None))


def suggest_target(session: Connection, server: Host, request: bytes, params: list[Any]) -> None:
    """`mining.suggest_target`: the same, as a target of 32 bytes in hex, big-endian."""
    text = params[0] if params else None
    target = 0
    if isinstance(text, str) and 0 < len(text) <= 64 and text.isascii() and text.isalnum():
        try:
            target = int(text, 16)
        except ValueError:
            target = 0
    asked = None
    if 0 < target <= MAX_TARGET:
        asked = target_to_difficulty(target, server.coin.difficulty_1_target)
    _suggest(session, server, request, asked)


def extranonce_subscribe(
    session: Connection, _server: Host, request: bytes, _params: list[Any]
) -> None:
    """`mining.extranonce.subscribe`: this miner can be sent another extranonce1."""
    session.follows_extranonce = True
    session.send(wire.result(request, value=True))


def get_transactions(session: Connection, server: Host, request: bytes, params: list[Any]) -> None:
    """`mining.get_transactions`: what the block of a job would hold, if that is short enough."""
    name = params[0] if params and isinstance(params[0], str) else ""
    entry = server.board.entries.get(name) or server.board.entries.get(name[:-2] + "00")
    if entry is None:
        session.send(wire.error(request, RejectCode.JOB_NOT_FOUND, "Job not found"))
        return
    transactions = entry.job.template.transactions
    if sum(len(transaction.data) for transaction in transactions) > _MAX_TRANSACTIONS_BYTES:
        session.send(wire.error(request, RejectCode.OTHER, "Too many transactions to list"))
        return
    session.send(wire.result(request, [transaction.data.hex() for transaction in transactions]))


def get_version(session: Connection, _server: Host, request: bytes, _params: list[Any]) -> None:
    """`client.get_version`, asked the wrong way round: we say ours."""
    session.send(wire.result(request, f"millpond/{__version__}"))


def ping(session: Connection, _server: Host, request: bytes, _params: list[Any]) -> None:
    """`mining.ping`."""
    session.send(wire.result(request, "pong"))


METHODS: dict[str, Method] = {
    "mining.configure": configure,
    "mining.subscribe": subscribe,
    "mining.authorize": authorize,
    "mining.suggest_difficulty": suggest_difficulty,
    "mining.suggest_target": suggest_target,
    "mining.extranonce.subscribe": extranonce_subscribe,
    "mining.get_transactions": get_transactions,
    "client.get_version": get_version,
    "mining.ping": ping,
}


def _choose_difficulty(session: Connection, server: Host, password: str) -> None:
    """What the password says, else what the miner suggested, else what it had last."""
    asked = _password_difficulty(password)
    if asked is not None and not session.fixed:
        session.fixed = True
        session.difficulty = server.bounded(asked, session.floor)
        return
    if session.fixed:
        return
    start = session.suggested or server.remembered(session.worker) or session.start_difficulty
    session.difficulty = server.bounded(start, session.floor)


def _password_difficulty(password: str) -> int | None:
    """`d=…` among options separated by commas or semicolons; None if there is none."""
    for option in password[:256].replace(";", ",").split(","):
        key, _, value = option.strip().partition("=")
        if key in {"d", "diff"} and value.isascii():
            try:
                return from_float(float(value))
            except ValueError:
                return None
    return None


def _suggest(session: Connection, server: Host, request: bytes, asked: int | None) -> None:
    if asked is None:
        session.send(wire.error(request, RejectCode.OTHER, "That is no difficulty"))
        return
    session.send(wire.result(request, value=True))
    if session.fixed:
        return
    session.suggested = asked
    if session.started:
        session.change_difficulty(server.bounded(asked, session.floor))


def _difficulty(value: Any) -> int | None:
    """A difficulty as miners write it: a number, or a number in a string."""
    if isinstance(value, str) and len(value) <= 64 and value.isascii():
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return from_float(float(value))
    except (ValueError, OverflowError):
        return None


def _mask(value: Any) -> int:
    if not isinstance(value, str) or not 0 < len(value) <= 10 or not value.isascii():
        return 0
    try:
        return int(value, 16) & 0xFFFFFFFF
    except ValueError:
        return 0

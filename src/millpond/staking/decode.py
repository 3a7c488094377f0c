"""Logs of a pool's contracts as effects on wallets. Pure.

The events are those of the artifacts (`docs/contracts.md`); what a log says is
taken as it is, and what the pool does not know is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from millpond.chains.evm.address import ZERO_ADDRESS
from millpond.chains.evm.contracts import artifact
from millpond.chains.evm.events import EventTable
from millpond.chains.evm.types import Log
from millpond.staking.model import Effect, EventKind
from millpond.staking.pools import PoolKind, StakingPool

_Reader: TypeAlias = Callable[[dict[str, Any]], list[Effect]]

_NO_BATCH = bytes(32)
_K = EventKind


def effects(pool: StakingPool, log: Log) -> list[Effect]:
    """What a log of one of the pool's contracts does; nothing if it is none that counts.

    Raises:
        AbiError: An event that is known, with bytes that do not fit.
    """
    table, readers = _known(pool.kind, log.address == pool.contract)
    event = table.decode(log)
    reader = None if event is None else readers.get(event.name)
    return [] if event is None or reader is None else reader(event.args)


def topics(kinds: frozenset[PoolKind]) -> list[str]:
    """`topics[0]` of every event that counts for pools of these kinds, for a log filter."""
    found: set[str] = set()
    for kind in kinds:
        for main in (True, False):
            table, readers = _known(kind, main)
            found.update(table.topic(name) for name in readers)
    return sorted(found)


def _deposited(args: dict[str, Any]) -> list[Effect]:
    return [Effect(_K.DEPOSIT, args["user"], args["amount"], {}, args["balance"])]


def _withdrawn(args: dict[str, Any]) -> list[Effect]:
    batch_id = args["batch_id"]
    details = {} if batch_id == _NO_BATCH else {"batch_id": "0x" + batch_id.hex()}
    return [Effect(_K.WITHDRAW, args["user"], args["amount"], details, args["balance"])]


def _skipped(args: dict[str, Any]) -> list[Effect]:
    details = {"batch_id": "0x" + args["batch_id"].hex(), "reason": args["reason"]}
    return [Effect(_K.SKIPPED, args["user"], args["amount"], details)]


def _funded(args: dict[str, Any]) -> list[Effect]:
    return [Effect(_K.FUNDED, args["sender"], args["amount"])]


def _defunded(args: dict[str, Any]) -> list[Effect]:
    return [Effect(_K.DEFUNDED, args["to"], args["amount"])]


def _paid(kind: EventKind) -> _Reader:
    def read(args: dict[str, Any]) -> list[Effect]:
        details = {"batch_id": "0x" + args["batch_id"].hex()}
        return [Effect(kind, args["payee"], args["amount"], details)]

    return read


def _kept_claimed(args: dict[str, Any]) -> list[Effect]:
    return [Effect(_K.REWARD_CLAIMED, args["payee"], args["amount"], {"kept": True})]


def _reward_claimed(args: dict[str, Any]) -> list[Effect]:
    details = {"cumulative": str(args["cumulative"])}
    return [Effect(_K.REWARD_CLAIMED, args["account"], args["amount"], details)]


def _epoch_posted(args: dict[str, Any]) -> list[Effect]:
    details = {
        "epoch": args["epoch"],
        "root": "0x" + args["root"].hex(),
        "statement_hash": "0x" + args["statement_hash"].hex(),
    }
    return [Effect(_K.EPOCH_POSTED, "", args["total"], details)]


def _epoch_revoked(args: dict[str, Any]) -> list[Effect]:
    details = {"epoch": args["epoch"], "root": "0x" + args["root"].hex()}
    return [Effect(_K.EPOCH_REVOKED, "", args["total"], details)]


def _transferred(args: dict[str, Any]) -> list[Effect]:
    """Shares move by this event alone; made and burnt ones come from and go to zero."""
    source, target, value = args["sender"], args["receiver"], args["amount"]
    if source == target or not value:
        return []
    if source == ZERO_ADDRESS:
        return [Effect(_K.DEPOSIT, target, value)]
    if target == ZERO_ADDRESS:
        return [Effect(_K.WITHDRAW, source, value)]
    return [
        Effect(_K.TRANSFER_OUT, source, value, {"to": target}),
        Effect(_K.TRANSFER_IN, target, value, {"from": source}),
    ]


def _assets(kind: EventKind, whose: str) -> _Reader:
    """Assets of a vault that come, leave or change their claimant; shares move by `Transfer`."""

    def read(args: dict[str, Any]) -> list[Effect]:
        details = {"redeem_id": args["id"]} if "id" in args else {}
        return [Effect(kind, args[whose], args["assets"], details)]

    return read


def _lost(args: dict[str, Any]) -> list[Effect]:
    return [Effect(_K.LOSS, "", args["assets"])]


_STAKING_POOL: dict[str, _Reader] = {
    "Deposited": _deposited,
    "Withdrawn": _withdrawn,
    "WithdrawalSkipped": _skipped,
}
_BATCH_PAYOUT: dict[str, _Reader] = {
    "Funded": _funded,
    "Defunded": _defunded,
    "Paid": _paid(_K.REWARD_PAID),
    "Kept": _paid(_K.REWARD_KEPT),
    "Claimed": _kept_claimed,
}
_VAULT: dict[str, _Reader] = {
    "Transfer": _transferred,
    "Deposit": _assets(_K.ASSETS_IN, "owner"),
    "Withdraw": _assets(_K.ASSETS_OUT, "owner"),
    "RedeemRequested": _assets(_K.REDEEM_REQUESTED, "owner"),
    "RedeemPaid": _assets(_K.REDEEM_PAID, "receiver"),
    "RedeemClaimable": _assets(_K.REDEEM_CLAIMABLE, "receiver"),
    "LossDeclared": _lost,
}
_DISTRIBUTOR: dict[str, _Reader] = {
    "Funded": _funded,
    "Defunded": _defunded,
    "EpochPosted": _epoch_posted,
    "EpochRevoked": _epoch_revoked,
    "Claimed": _reward_claimed,
}

_CONTRACTS: dict[tuple[PoolKind, bool], tuple[str, dict[str, _Reader]]] = {
    (PoolKind.DIRECT, True): ("StakingPool", _STAKING_POOL),
    (PoolKind.DIRECT, False): ("BatchPayout", _BATCH_PAYOUT),
    (PoolKind.VAULT, True): ("Vault", _VAULT),
    (PoolKind.VAULT, False): ("RewardDistributor", _DISTRIBUTOR),
}


@cache
def _known(kind: PoolKind, main: bool) -> tuple[EventTable, dict[str, _Reader]]:  # noqa: FBT001 - a cache key
    name, readers = _CONTRACTS[kind, main]
    return EventTable(artifact(name).abi), readers

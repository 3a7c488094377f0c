"""What the ledger must do, written again as simply as possible over dictionaries."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from millpond.money.accounts import Account
from millpond.money.model import Resolution, Transfer

SIDES = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


class RefusedError(Exception):
    """The model refuses, with the code that the ledger must give."""


@dataclass
class Model:
    """Balances, bodies by id, and pending transfers with their deadlines."""

    sums: dict[Account, dict[str, int]] = field(default_factory=dict)
    bodies: dict[str, tuple[object, ...]] = field(default_factory=dict)
    open: dict[str, tuple[Transfer, int | None]] = field(default_factory=dict)
    pendings: dict[str, Transfer] = field(default_factory=dict)

    def attempt(self, name: str, *args: object) -> tuple[Model, str | None]:
        """The model after an operation, or as it was and the code of the refusal."""
        after = copy.deepcopy(self)
        try:
            getattr(after, name)(*args)
        except RefusedError as refusal:
            return self, str(refusal)
        return after, None

    def book(self, transfers: list[Transfer], pending: bool, timeout_ms: int | None, now: int):
        for t in transfers:
            body = ("pending" if pending else "posted", t, timeout_ms)
            if self._seen(t.id, body):
                continue
            for account, out in ((t.debit, not normal(t.debit)), (t.credit, normal(t.credit))):
                guarded = out and account.type in {"asset", "liability"}
                if guarded and self.available(account) < t.amount.units:
                    raise RefusedError("ledger_insufficient_funds")
            column = "pending" if pending else "posted"
            self.of(t.debit)[f"debits_{column}"] += t.amount.units
            self.of(t.credit)[f"credits_{column}"] += t.amount.units
            if pending:
                deadline = None if timeout_ms is None else now + timeout_ms
                self.open[t.id] = (t, deadline)
                self.pendings[t.id] = t

    def resolve(self, resolutions: list[Resolution], kind: str, now: int):
        for r in resolutions:
            if r.pending_id not in self.pendings:
                raise RefusedError("ledger_unknown_pending")
        for r in resolutions:
            t = self.pendings[r.pending_id]
            amount = t.amount.units if r.amount is None else r.amount.units
            if amount > t.amount.units:
                raise RefusedError("ledger_invalid_transfer")
            body = (kind, r.pending_id, amount, r.reference or t.reference)
            if self._seen(r.id, body):
                continue
            if r.pending_id not in self.open:
                raise RefusedError("ledger_pending_resolved")
            deadline = self.open[r.pending_id][1]
            if kind == "post" and deadline is not None and deadline <= now:
                raise RefusedError("ledger_pending_expired")
            self._end(r.pending_id, amount if kind == "post" else 0)

    def expire(self, now: int) -> list[str]:
        due = [i for i, (_, deadline) in self.open.items() if deadline and deadline <= now]
        for pending_id in due:
            self._end(pending_id, 0)
        return due

    def of(self, account: Account) -> dict[str, int]:
        return self.sums.setdefault(account, dict.fromkeys(SIDES, 0))

    def available(self, account: Account) -> int:
        s = self.of(account)
        net = s["debits_posted"] - s["credits_posted"]
        return net - s["credits_pending"] if normal(account) else -net - s["debits_pending"]

    def _end(self, pending_id: str, moved: int) -> None:
        t, _ = self.open.pop(pending_id)
        self.of(t.debit)["debits_pending"] -= t.amount.units
        self.of(t.credit)["credits_pending"] -= t.amount.units
        self.of(t.debit)["debits_posted"] += moved
        self.of(t.credit)["credits_posted"] += moved

    def _seen(self, transfer_id: str, body: tuple[object, ...]) -> bool:
        if transfer_id not in self.bodies:
            self.bodies[transfer_id] = body
            return False
        if self.bodies[transfer_id] != body:
            raise RefusedError("ledger_conflict")
        return True


def normal(account: Account) -> bool:
    """True for accounts that debits make larger."""
    return account.type in {"asset", "expense"}

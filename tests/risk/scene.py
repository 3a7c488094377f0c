"""A staking pool's money, made of nothing but the ledger, for tests of the engine."""

from __future__ import annotations

from typing import Any

from millpond.alerts import Alerts
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.risk import Function, Hold, Limits, Request, RiskEngine, Scope, Violation
from millpond.store import Store, Tx
from millpond.trail import Trail

BTCD = Asset("BTCD", 18)
UNIT = 10**18
POOL = "btcd-main-pool"
PRINCIPAL = Account(AccountType.ASSET, f"staking/{POOL}", "principal", BTCD)
DAY_S = 86_400


def staked(wallet: str) -> Account:
    return Account(AccountType.LIABILITY, f"staker/{POOL}/{wallet}", "staked", BTCD)


class Scene:
    """One pool in one product."""

    def __init__(self, store: Store, **options: Any) -> None:
        self.store = store
        self.clock = ManualClock(1_700_000_010_000)
        self.entropy = SeededEntropy(5)
        ids = Ids(self.clock, self.entropy)
        self.ledger = Ledger(self.clock)
        self.trail = Trail(self.clock)
        self.alerts = Alerts(self.clock, ids)
        self.risk = RiskEngine(self.ledger, self.clock, ids, self.trail, self.alerts, **options)
        self._number = 0

    async def deposit(self, wallet: str, units: int) -> None:
        self._number += 1
        async with self.store.begin() as tx:
            await self.ledger.post(
                tx, [self._transfer(f"d{self._number}", wallet, units, out=False)]
            )

    def _transfer(self, name: str, wallet: str, units: int, *, out: bool) -> Transfer:
        sides = (staked(wallet), PRINCIPAL) if out else (PRINCIPAL, staked(wallet))
        return Transfer(name, *sides, BTCD.amount(units), "test")

    async def limit(self, scope: Scope, **limits: int) -> None:
        async with self.store.begin() as tx:
            await self.risk.set_limits(tx, "ann", scope, BTCD.code, Limits(**limits))

    def ask(self, wallet: str, units: int, **options: Any) -> Request:
        self._number += 1
        values: dict[str, Any] = {
            "function": Function.WITHDRAW,
            "product": "staking",
            "pool_id": POOL,
            "user": wallet,
            "asset": BTCD,
            "amount": units,
            "reference": f"withdrawal:{self._number}",
        }
        return Request(**values | options)

    async def withdraw(self, wallet: str, units: int, **options: Any) -> str:
        """Reserve a withdrawal as a pool does; its reference."""
        request = self.ask(wallet, units, **options)
        async with self.store.begin() as tx:
            transfer = self._transfer(f"r-{request.reference}", wallet, units, out=True)
            await self.risk.reserve(tx, request, [transfer])
        return request.reference

    async def returned(self, reference: str) -> None:
        async with self.store.begin() as tx:
            assert await self.risk.returned(tx, reference)

    async def pause(self, scope: Scope, function: Function | None = None, **options: Any) -> Hold:
        async with self.store.begin() as tx:
            return await self.risk.pause(tx, "gus", scope, function, "we look into it", **options)

    async def available(self, wallet: str) -> int:
        async with self.store.read() as tx:
            return (await self.ledger.balance(tx, staked(wallet))).available.units

    async def violations(self, **options: Any) -> list[Violation]:
        async with self.store.read() as tx:
            return await self.risk.violations(tx, **options)

    async def acts(self) -> list[tuple[str, str, str]]:
        async with self.store.read() as tx:
            assert await self.trail.verify(tx) == []
            return [(e.actor, e.action, e.subject) for e in await self.trail.read(tx)][::-1]

    async def open_alerts(self) -> list[tuple[str, str]]:
        async with self.store.read() as tx:
            return sorted((alert.kind, alert.subject) for alert in await self.alerts.open(tx))

    async def preview(self, tx: Tx, wallet: str, units: int, **options: Any) -> int | None:
        return (await self.risk.preview(tx, self.ask(wallet, units, **options))).room

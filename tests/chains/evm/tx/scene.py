"""A signer, a database, a node, and gifts of ether that are intents."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from millpond.alerts import Alert, Alerts
from millpond.chains.evm.address import from_bytes
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import (
    Call,
    ChainAccess,
    EvmTransactionHandler,
    Transactions,
    TxSettings,
    lane_of,
)
from millpond.chains.evm.tx import rows as tx_rows
from millpond.chains.evm.tx.model import Attempt, Nonce
from millpond.chains.evm.tx.tables import evm_attempt_table, evm_nonce_table
from millpond.chains.evm.types import Receipt
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intent, Intents, Operator, Runner
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Store, Tx
from tests.support.evm_nodes import KEYS, Node

ETH = Asset("ETH", 18)
DONOR = Account(AccountType.LIABILITY, "donor", "balance", ETH)
CHEST = Account(AccountType.ASSET, "pool", "chest", ETH)
CAPITAL = Account(AccountType.EQUITY, "pool", "capital", ETH)
GIFT = 10**15
SECRET = bytes.fromhex(KEYS[1][2:])


class Gifts:
    """What a transaction is for: a gift of ether out of the donor's balance."""

    kind = "evm-gift"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def call(self, intent: Intent) -> Call:
        payload = intent.payload
        return Call(
            to=payload["to"],
            data=bytes.fromhex(payload.get("data", "")),
            value=int(payload["value"]),
            gas_limit=payload.get("gas"),
        )

    async def changed(self, tx: Tx, before: Intent, after: Intent) -> None:
        """Nothing follows a gift."""

    async def settle(self, tx: Tx, intent: Intent, receipt: Receipt) -> None:
        resolution = Resolution(f"s-{intent.key}", f"r-{intent.key}")
        if receipt.status == 1:
            await self.ledger.post_pending(tx, [resolution])
        else:
            await self.ledger.void_pending(tx, [resolution])

    async def release(self, tx: Tx, intent: Intent, reason: str) -> None:
        await self.ledger.void_pending(tx, [Resolution(f"v-{intent.key}", f"r-{intent.key}")])


def settings(**changed: Any) -> TxSettings:
    """Short times for a clock that is moved by hand."""
    usual: dict[str, Any] = {"confirmations": 3, "poll_s": 1, "patience_s": 5, "bump_after_s": 20}
    return TxSettings(**{**usual, **changed})


class Scene:
    """Everything on one store and a clock moved by hand, on a real node."""

    def __init__(
        self,
        store: Store,
        access: ChainAccess,
        node: Node,
        *,
        secret: bytes = SECRET,
        tx_settings: TxSettings | None = None,
    ) -> None:
        self.store, self.node, self.access = store, node, access
        self.clock = ManualClock()
        entropy = SeededEntropy(5)
        ids = Ids(self.clock, entropy)
        self.signer = KeySigner(secret)
        self.alerts = Alerts(self.clock, ids)
        self.ledger = Ledger(self.clock)
        self.intents = Intents(store, self.clock, ids, entropy)
        self.settings = tx_settings or settings()
        self.transactions = Transactions(
            self.intents, access, [self.signer], self.settings, self.alerts
        )
        self.handler = EvmTransactionHandler(self.transactions, Gifts(self.ledger))
        self.runner = Runner(self.intents, [self.handler], "w1")
        self.operator = Operator(self.intents, [self.handler])
        self.address = self.signer.address
        self.lane = lane_of(access.chain_id, self.address)
        self.given: dict[str, str] = {}

    async def fund(self, gifts: int = 100) -> None:
        amount = ETH.amount(gifts * GIFT)
        async with self.store.begin() as tx:
            await self.ledger.post(
                tx,
                [
                    Transfer("capital", CHEST, CAPITAL, amount, "fund"),
                    Transfer("donation", CAPITAL, DONOR, amount, "fund"),
                ],
            )

    async def give(self, key: str = "k", *, to: str | None = None, **payload: Any) -> Intent:
        """Reserve and write the intent in one transaction."""
        to = to or fresh_address(key)
        self.given[key] = to
        document = {"to": to, "value": str(GIFT), **payload}
        self.clock.advance(0.001)
        async with self.store.begin() as tx:
            await self.ledger.reserve(
                tx, [Transfer(f"r-{key}", DONOR, CHEST, ETH.amount(GIFT), "gift")]
            )
            return await self.intents.create(tx, "evm-gift", key, document, lane=self.lane)

    async def get(self, intent: Intent) -> Intent:
        async with self.store.read() as tx:
            return await self.intents.get(tx, intent.id)

    async def work(self, seconds: float = 0) -> None:
        """Let the time pass and work off what is due."""
        self.clock.advance(seconds)
        for _ in range(100):
            if not await self.runner.run_once():
                return
        raise AssertionError("the runner never comes to rest")

    async def attempts(self) -> list[Attempt]:
        query = select(evm_attempt_table).order_by(
            evm_attempt_table.c.nonce, evm_attempt_table.c.attempt
        )
        async with self.store.read() as tx:
            return [tx_rows._attempt(row) for row in (await tx.execute(query)).mappings()]

    async def nonces(self) -> list[Nonce]:
        query = select(evm_nonce_table).order_by(evm_nonce_table.c.nonce)
        async with self.store.read() as tx:
            return [tx_rows._nonce(row) for row in (await tx.execute(query)).mappings()]

    async def open_alerts(self) -> list[Alert]:
        async with self.store.read() as tx:
            return await self.alerts.open(tx)

    async def donor_has(self) -> int:
        """What the books say is left of the donor's, in gifts, with nothing reserved."""
        async with self.store.read() as tx:
            balance = (await self.ledger.balances(tx, [DONOR]))[DONOR]
        assert balance.posted.units == balance.available.units
        return balance.posted.units // GIFT


def fresh_address(key: str) -> str:
    """An address that nobody has sent anything to."""
    return from_bytes(keccak(f"millpond {key}".encode())[-20:])

"""A signer, a database, a node, and gifts of ether that are intents."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from millpond.alerts import Alert, Alerts
from millpond.chains.evm.address import from_bytes
from millpond.chains.evm.keccak import keccak
from millpond.chains.evm.signers import KeySigner, Signer
from millpond.chains.evm.tx import (
    Call,
    ChainAccess,
    EvmTransactionHandler,
    Keeper,
    Transactions,
    TxSettings,
    lane_of,
)
from millpond.chains.evm.tx import rows as tx_rows
from millpond.chains.evm.tx.model import Attempt, Nonce
from millpond.chains.evm.tx.rounds import Report
from millpond.chains.evm.tx.tables import evm_attempt_table, evm_nonce_table
from millpond.chains.evm.types import Receipt
from millpond.clock import Ids, ManualClock, SeededEntropy
from millpond.intents import Intent, Intents, IntentState, Operator, Runner
from millpond.intents.faults import Faults
from millpond.money.accounts import Account, AccountType
from millpond.money.amount import Asset
from millpond.money.ledger import Ledger
from millpond.money.model import Resolution, Transfer
from millpond.store import Store, Tx
from tests.chains.evm.tx.proxy import Proxy
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
            to=payload["to"] or None,
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
    usual: dict[str, Any] = {
        "confirmations": 3,
        "poll_s": 1,
        "patience_s": 5,
        "bump_after_s": 20,
        "lease_s": 10,
    }
    return TxSettings(**{**usual, **changed})


class Scene:
    """Everything on one store and a clock moved by hand, on a real node."""

    def __init__(
        self,
        store: Store,
        access: ChainAccess,
        node: Node,
        proxy: Proxy,
        *,
        secret: bytes = SECRET,
        tx_settings: TxSettings | None = None,
    ) -> None:
        self.store, self.node, self.access, self.proxy = store, node, access, proxy
        self.clock = ManualClock()
        entropy = SeededEntropy(5)
        ids = Ids(self.clock, entropy)
        self.signer = KeySigner(secret)
        self.alerts = Alerts(self.clock, ids)
        self.ledger = Ledger(self.clock)
        self.intents = Intents(store, self.clock, ids, entropy)
        self.address = self.signer.address
        self.set_up(tx_settings or settings())
        self.lane = lane_of(access.chain_id, self.address)
        self.given: dict[str, str] = {}

    def set_up(self, tx_settings: TxSettings, *, signer: Signer | None = None) -> None:
        """Make handler, worker and keeper, as a process does that starts."""
        self.settings = tx_settings
        signers = [signer or self.signer]
        self.transactions = Transactions(
            self.intents, self.access, signers, tx_settings, self.alerts
        )
        self.handler = EvmTransactionHandler(self.transactions, Gifts(self.ledger))
        self.runner = self.worker("w1")
        self.keeper = Keeper(self.transactions)
        self.operator = Operator(self.intents, [self.handler])

    def worker(self, name: str, faults: Faults | None = None) -> Runner:
        """Another worker; `faults` reach runner and handler."""
        transactions = Transactions(
            self.intents,
            self.access,
            [self.signer],
            self.settings,
            self.alerts,
            faults=faults,
        )
        handler = EvmTransactionHandler(transactions, Gifts(self.ledger))
        if faults is None:
            handler = self.handler
        return Runner(self.intents, [handler], name, faults=faults)

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
        to = fresh_address(key) if to is None else to
        self.given[key] = to
        document = {"to": to, "value": str(GIFT), **payload}
        self.clock.advance(0.001)
        expires_ms = document.pop("expires_ms", None)
        async with self.store.begin() as tx:
            await self.ledger.reserve(
                tx, [Transfer(f"r-{key}", DONOR, CHEST, ETH.amount(GIFT), "gift")]
            )
            return await self.intents.create(
                tx, "evm-gift", key, document, lane=self.lane, expires_ms=expires_ms
            )

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

    async def keep(self, seconds: float = 0) -> Report:
        """Let the time pass and have the keeper look after the signer."""
        self.clock.advance(seconds)
        (report,) = await self.keeper.run_once()
        return report

    async def finish(self, *intents: Intent) -> None:
        """Let time pass and blocks come until all of them are settled."""
        for _ in range(12):
            await self.work(6)
            await self.keep()
            self.node.mine()
            states = [(await self.get(intent)).state for intent in intents]
            if all(state is IntentState.SETTLED for state in states):
                return
        raise AssertionError([(await self.get(intent)).reason for intent in intents])

    async def state(self, intent: Intent) -> IntentState:
        return (await self.get(intent)).state

    async def assert_given(self, *keys: str) -> None:
        """Each of these got one gift, nobody else any, and the books say the same."""
        for key, to in self.given.items():
            assert self.node.balance(to) == (GIFT if key in keys else 0), key
        assert await self.donor_has() == 100 - len(keys)
        async with self.store.read() as tx:
            assert await self.ledger.verify(tx) == []

    async def foreign(self, nonce: int | None = None, **fields: Any) -> str:
        """Somebody else uses the same key, past Millpond."""
        account = self.node.accounts[1]
        return self.node.send(account, to=fresh_address("foreign"), nonce=nonce, value=1, **fields)

    def base_fee(self, wei: int) -> None:
        """Make a block that cost so much; the next ones fall by an eighth each."""
        self.node.rpc(f"{self.node.name}_setNextBlockBaseFeePerGas", hex(wei))
        self.node.mine()

    async def alerted(self) -> set[str]:
        return {alert.kind for alert in await self.open_alerts()}

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

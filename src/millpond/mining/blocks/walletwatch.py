"""Coins that come to the daemon's wallet from outside, booked as capital.

What the wallet held before the first block, what the operator puts in, and
coinbases that no pool of ours found are the operator's: they stand against
the capital account, so that the ledger's wallet is the daemon's wallet. A
receipt is booked once, when it is deep enough that no reorganisation takes it
back: a payment at `confirmations`, a coinbase when it can be spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import structlog
from sqlalchemy import select

from millpond.chains.bitcoin.errors import RpcNotFoundError
from millpond.chains.bitcoin.health import Tip
from millpond.chains.bitcoin.payment import Receipt, Receipts
from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.accounts import capital, pool_wallet
from millpond.mining.blocks import rows
from millpond.mining.blocks.adoption import CandidateSource
from millpond.mining.blocks.tables import wallet_anchor, wallet_receipt
from millpond.mining.folds.writing import upsert
from millpond.money.ids import derived_id
from millpond.money.ledger import Ledger
from millpond.money.model import Transfer
from millpond.store import Store, Tx
from millpond.store.sql import insert_or_ignore

_log = structlog.get_logger(__name__)

_MARGIN = 20
"""Blocks between the youngest receipt that is surely booked and where the next look begins."""

_COINBASE = frozenset({"generate", "immature", "orphan"})


class ReceivingWallet(Protocol):
    """What is asked of `millpond.chains.bitcoin.wallet.Wallet`."""

    async def received_since(self, block_hash: str | None = None) -> Receipts:
        """What came to the wallet after a block."""


class Heights(Protocol):
    """What is asked of the daemons."""

    async def tip(self) -> Tip:
        """The best block."""

    async def get_block_hash(self, height: int) -> str:
        """Hash of a block of the best chain."""


class WalletWatch:
    """Watches one wallet of one coin.

    Args:
        store: The database.
        ledger: The ledger.
        wallet: The daemon's wallet.
        chain: The daemons.
        coin: What the wallet holds.
        clock: For the rows.
        pools: Pool id and share log of each pool that mines into the wallet.
        confirmations: At how many a payment is booked.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        wallet: ReceivingWallet,
        chain: Heights,
        *,
        coin: Coin,
        clock: Clock,
        pools: Iterable[tuple[str, CandidateSource]],
        confirmations: int = 6,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._wallet = wallet
        self._chain = chain
        self._coin = coin
        self._clock = clock
        self._pools = tuple(pools)
        self._confirmations = confirmations

    async def run_once(self) -> int:
        """Book what has come to its depth since the last look; returns how many receipts.

        Raises:
            RpcError: The daemon does not answer; what was booked stays booked.
        """
        tip = await self._chain.tip()
        async with self._store.read() as tx:
            anchor = await _anchor(tx, self._coin)
        receipts = await self._since(anchor)
        due = [r for r in receipts.receipts if self._deep(r)]
        foreign = await self._foreign(due)
        booked = 0
        if foreign:
            async with self._store.begin() as tx:
                booked = await self._book(tx, foreign)
        if receipts.last_block == tip.block_hash:
            # A wallet whose daemon is behind has yet to see what lies below the anchor.
            await self._move_anchor(tip)
        return booked

    async def _since(self, anchor: str | None) -> Receipts:
        try:
            return await self._wallet.received_since(anchor)
        except RpcNotFoundError:
            # The chain is another one below the anchor: look at everything again.
            return await self._wallet.received_since(None)

    def _deep(self, receipt: Receipt) -> bool:
        if receipt.category in _COINBASE:
            return receipt.category == "generate" and receipt.confirmations > self._coin.maturity
        return receipt.confirmations >= self._confirmations

    async def _foreign(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Receipts that are not the coinbases of our own blocks."""
        mined = {r.block_hash for r in receipts if r.category in _COINBASE and r.block_hash}
        if not mined:
            return list(receipts)
        async with self._store.read() as tx:
            ours = await rows.known_hashes(tx, mined)
        for pool_id, log in self._pools:
            heads = await log.candidate_heads(pool_id, hashes=mined - ours, limit=len(mined))
            ours |= {head.block_hash for head in heads}
        return [r for r in receipts if r.category not in _COINBASE or r.block_hash not in ours]

    async def _book(self, tx: Tx, receipts: Sequence[Receipt]) -> int:
        outpoints = [f"{r.txid}:{r.vout}" for r in receipts]
        known = await booked_outpoints(tx, self._coin, outpoints)
        now_ms = self._clock.now_ms()
        values: list[dict[str, Any]] = []
        transfers: list[Transfer] = []
        for receipt, outpoint in zip(receipts, outpoints, strict=True):
            if outpoint in known or receipt.sat <= 0:
                continue
            transfer_id = derived_id("capital", self._coin.name, outpoint)
            values.append(
                {
                    "coin": self._coin.name,
                    "outpoint": outpoint,
                    "amount": receipt.sat,
                    "category": receipt.category,
                    "transfer_id": transfer_id,
                    "booked_ms": now_ms,
                }
            )
            transfers.append(
                Transfer(
                    id=transfer_id,
                    debit=pool_wallet(self._coin),
                    credit=capital(self._coin),
                    amount=self._coin.asset.amount(receipt.sat),
                    code="capital",
                    reference=f"receipt:{outpoint}",
                )
            )
        if not values:
            return 0
        await tx.execute(insert_or_ignore(tx, wallet_receipt), values)
        await self._ledger.post(tx, transfers)
        _log.info("capital_booked", coin=self._coin.name, receipts=len(values))
        return len(values)

    async def _move_anchor(self, tip: Tip) -> None:
        height = tip.height - max(self._coin.maturity, self._confirmations) - _MARGIN
        if height <= 0:
            return
        block_hash = await self._chain.get_block_hash(height)
        row = {"coin": self._coin.name, "height": height, "block_hash": block_hash}
        async with self._store.begin() as tx:
            await tx.execute(upsert(tx, wallet_anchor, replace=["height", "block_hash"]), [row])


async def booked_outpoints(tx: Tx, coin: Coin, outpoints: Sequence[str]) -> set[str]:
    """Which of these outputs are booked as capital."""
    found: set[str] = set()
    for first in range(0, len(outpoints), 500):
        query = select(wallet_receipt.c.outpoint).where(
            wallet_receipt.c.coin == coin.name,
            wallet_receipt.c.outpoint.in_(outpoints[first : first + 500]),
        )
        found |= set((await tx.execute(query)).scalars())
    return found


async def _anchor(tx: Tx, coin: Coin) -> str | None:
    query = select(wallet_anchor.c.block_hash).where(wallet_anchor.c.coin == coin.name)
    return (await tx.execute(query)).scalar()

"""Blocks, payouts and the wallet against what the daemon says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select

from millpond.chains.bitcoin.address import canonical_address, script_pubkey
from millpond.chains.bitcoin.errors import RpcNotFoundError
from millpond.chains.bitcoin.payment import Balance, Receipt, Receipts, TxState, TxStatus
from millpond.chains.bitcoin.wire import parse_transaction
from millpond.chains.coins import Coin
from millpond.intents import rows as intent_rows
from millpond.intents.model import Intent
from millpond.mining.accounts import pool_wallet
from millpond.mining.blocks.model import Block, BlockState, Credit, block_of
from millpond.mining.blocks.tables import block
from millpond.mining.blocks.walletwatch import booked_outpoints
from millpond.mining.payouts import rows as payout_rows
from millpond.mining.payouts.model import Payout, PayoutState
from millpond.mining.payouts.service import pending_id
from millpond.mining.payouts.tables import payout_batch_table, payout_table
from millpond.money.ledger import Ledger
from millpond.money.model import Kind
from millpond.money.report import Row, compare, only_drifts
from millpond.store import Tx

_OURS = frozenset({"generate", "immature"})
_SPENT = frozenset({TxState.IN_MEMPOOL, TxState.CONFIRMED})


class AuditedChain(Protocol):
    """What is asked of the daemons."""

    async def get_block_header(self, block_hash: str) -> dict[str, Any]:
        """A header with `confirmations`."""


class AuditedWallet(Protocol):
    """What is asked of the wallet."""

    async def balance(self) -> Balance:
        """What it holds."""

    async def received_since(self, block_hash: str | None = None) -> Receipts:
        """What came to it."""

    async def look_up(self, txid: str, *, inputs: Sequence[str] = ()) -> TxStatus:
        """Where a transaction is."""


async def blocks_of(tx: Tx, coin: Coin) -> list[Block]:
    """Every block of a coin, lowest first."""
    query = select(block).where(block.c.coin == coin.name).order_by(block.c.height)
    return [block_of(row) for row in await tx.execute(query)]


async def check_blocks(
    blocks: Sequence[Block], chain: AuditedChain, receipts: Sequence[Receipt], coin: Coin
) -> list[Row]:
    """Credited blocks are in the best chain and pay the pool what was split."""
    paid: defaultdict[str, int] = defaultdict(int)
    for receipt in receipts:
        if receipt.category in _OURS and receipt.block_hash:
            paid[receipt.block_hash] += receipt.sat
    rows = []
    for of in blocks:
        subject = f"block {of.height} {of.block_hash[:16]}"
        depth = await _depth(chain, of.block_hash)
        if of.state is BlockState.MATURE:
            deep = "deep enough" if depth is not None and depth >= of.required else f"depth {depth}"
            rows.append(compare("block_on_chain", subject, "deep enough", deep))
        if of.state in {BlockState.ORPHANED, BlockState.REJECTED}:
            where = "in the best chain" if depth else "not in the best chain"
            rows.append(compare("block_on_chain", subject, "not in the best chain", where))
        if of.credit in {Credit.PENDING, Credit.POSTED} and depth:
            why = "coinbase outputs that the wallet knows as its own"
            rows.append(compare("block_value", subject, of.reward, paid[of.block_hash], why))
    return only_drifts("blocks", coin.name, rows, "comparisons")


async def _depth(chain: AuditedChain, block_hash: str) -> int | None:
    try:
        header = await chain.get_block_header(block_hash)
    except RpcNotFoundError:
        return None
    return max(int(header["confirmations"]), 0)


async def check_payouts(
    tx: Tx, ledger: Ledger, wallet: AuditedWallet, coin: Coin
) -> tuple[list[Row], dict[str, int]]:
    """Payouts against their transactions and the ledger.

    Returns:
        The rows, and by transaction what has left the wallet and is not
        booked yet.
    """
    rows = await _check_payout_bookings(tx, ledger, coin)
    on_the_way: dict[str, int] = {}
    query = select(payout_batch_table).where(payout_batch_table.c.coin == coin.name)
    for batch in (await tx.execute(query)).all():
        payouts = await payout_rows.of_batch(tx, batch.id)
        intent = await intent_rows.fetch(tx, batch.intent_id)
        if not payouts or intent.body is None or intent.identity is None:
            continue
        transaction = parse_transaction(intent.body)
        status = await wallet.look_up(intent.identity, inputs=transaction.input_names)
        if any(payout.state is PayoutState.SETTLED for payout in payouts):
            rows += _check_transaction(intent, payouts, status, coin)
        elif status.state in _SPENT and not all(p.state is PayoutState.FAILED for p in payouts):
            pool_fee = int(intent.details.get("pool_fee", 0))
            on_the_way[intent.identity] = sum(p.amount for p in payouts) + pool_fee
    return only_drifts("payouts", coin.name, rows, "comparisons"), on_the_way


async def _check_payout_bookings(tx: Tx, ledger: Ledger, coin: Coin) -> list[Row]:
    """Each payout's reservation is in the ledger and ended as its state says."""
    ends = {PayoutState.SETTLED: Kind.POST, PayoutState.FAILED: Kind.VOID}
    rows = []
    query = select(payout_table).where(payout_table.c.coin == coin.name)
    for row in (await tx.execute(query)).mappings():
        payout = payout_rows.to_payout(row)
        booked = await ledger.transfer(tx, pending_id(payout.id))
        end = await ledger.resolution_of(tx, pending_id(payout.id))
        if booked is None:
            never = {PayoutState.REQUESTED, PayoutState.FAILED}
            said = "never reserved" if payout.state in never else "reserved"
            rows.append(compare("payout_booked", payout.id, said, "never reserved"))
            continue
        expected = (payout.amount, ends.get(payout.state))
        found = (booked.amount.units, None if end is None else end.kind)
        rows.append(compare("payout_booked", payout.id, expected, found))
    return rows


def _check_transaction(
    intent: Intent, payouts: Sequence[Payout], status: TxStatus, coin: Coin
) -> list[Row]:
    """A settled batch: its transaction is in the chain and pays each address to the unit."""
    assert intent.body is not None, "a settled batch was signed"
    transaction = parse_transaction(intent.body)
    subject = f"payout {intent.identity}"
    rows = [
        compare("payout_on_chain", subject, TxState.CONFIRMED.value, status.state.value),
        compare("payout_on_chain", f"{subject} name", transaction.txid, intent.identity),
    ]
    expected: defaultdict[str, int] = defaultdict(int)
    for payout in payouts:
        expected[canonical_address(payout.address, coin)] += payout.amount - payout.fee
    found = _paid(transaction.outputs, expected, coin)
    rows += [
        compare("payout_paid", f"{subject} {address}", amount, found.get(address, 0))
        for address, amount in sorted(expected.items())
    ]
    return rows


def _paid(outputs: Sequence[Any], wanted: Mapping[str, int], coin: Coin) -> dict[str, int]:
    by_script: defaultdict[bytes, int] = defaultdict(int)
    for output in outputs:
        by_script[output.script] += output.value
    return {address: by_script[script_pubkey(address, coin)] for address in wanted}


@dataclass(frozen=True, slots=True)
class WalletView:
    """What the daemon's wallet says, and what has left it unbooked, by transaction."""

    held: Balance
    receipts: Sequence[Receipt]
    on_the_way: Mapping[str, int]


async def check_wallet(
    tx: Tx, ledger: Ledger, view: WalletView, blocks: Sequence[Block], coin: Coin
) -> Row:
    """The ledger's wallet, with what is not booked yet, is the daemon's wallet."""
    held, receipts = view.held, view.receipts
    account = pool_wallet(coin)
    balance = await ledger.balance(tx, account)
    credited = {b.block_hash: b for b in blocks if b.credit in {Credit.PENDING, Credit.POSTED}}
    booked = await booked_outpoints(tx, coin, [f"{r.txid}:{r.vout}" for r in receipts])
    unbooked, seen = 0, set()
    for receipt in receipts:
        if receipt.block_hash in credited and receipt.category in _OURS:
            seen.add(receipt.block_hash)
        elif receipt.category == "orphan" or receipt.confirmations < 0:
            continue
        elif f"{receipt.txid}:{receipt.vout}" not in booked:
            unbooked += receipt.sat
    beside = sum(b.reward for b in credited.values() if b.block_hash not in seen)
    leaving = sum(view.on_the_way.values())
    expected = balance.posted.units + balance.incoming.units + unbooked - beside - leaving
    found = held.trusted + held.untrusted_pending + held.immature
    why = (
        f"posted {balance.posted.units} + immature {balance.incoming.units}"
        f" + received and not booked yet {unbooked}"
        f" - credited blocks outside of the best chain {beside}"
        f" - payouts on their way {leaving}"
    )
    return compare("wallet", coin.name, expected, found, why)

"""A daemon's wallet, used so that every payment has its name before it happens.

`prepare` makes and signs a transaction and sends nothing; `send` hands the
very same bytes over, as often as one likes; `look_up` answers "did it
happen?" by the transaction's id. `sendtoaddress` and `sendmany` are not used:
they act first and tell the name afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from millpond.chains.bitcoin.address import address_of_script, parse_address
from millpond.chains.bitcoin.amounts import from_sat, to_sat
from millpond.chains.bitcoin.errors import (
    PaymentRefusedError,
    RpcAlreadyInChainError,
    RpcNotFoundError,
    RpcOutcomeUnknownError,
    RpcRejectedError,
    RpcUnavailableError,
    RpcVerifyRejectedError,
    RpcWalletError,
    RpcWalletNotFoundError,
)
from millpond.chains.bitcoin.payment import (
    Balance,
    Receipt,
    Receipts,
    SendOutcome,
    SendVerdict,
    SignedTransaction,
    TxState,
    TxStatus,
    Unspent,
    check_payment,
)
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.bitcoin.wire import Transaction, WireError, parse_transaction
from millpond.chains.coins import Coin

DEFAULT_MAX_FEE_RATE = 1_000_000
"""Highest fee in base units per 1,000 virtual bytes that a payment may have: 0.01 of a coin."""

MAX_OUTPUTS = 2_000
"""Most payees of one transaction: it stays well below the standard weight."""

_LOADING_LOOKS = 50
_LOADING_PAUSE_S = 0.1


class Wallet:
    """One named wallet of one daemon.

    The wallet is loaded, or created when there is none of that name, by
    `open`; it is loaded again by itself after the daemon was restarted.

    Args:
        endpoint: The daemon, without or with a wallet name.
        coin: What the wallet holds.
        name: The wallet's name in the daemon; by default the endpoint's.
        max_fee_rate: Cap in base units per 1,000 virtual bytes.
    """

    def __init__(
        self,
        endpoint: RpcEndpoint,
        coin: Coin,
        *,
        name: str | None = None,
        max_fee_rate: int = DEFAULT_MAX_FEE_RATE,
    ) -> None:
        chosen = name if name is not None else endpoint.wallet
        assert chosen is not None, "a wallet has a name"
        self.name = chosen
        self.coin = coin
        self.max_fee_rate = max_fee_rate
        self._own = endpoint.wallet != chosen
        self._rpc = endpoint.for_wallet(chosen) if self._own else endpoint

    async def open(self) -> None:
        """Make the wallet ready: load it, or create it where none of its name exists.

        Raises:
            RpcError: The daemon does not answer or has no wallets.
        """
        if self.name in await self._rpc.call("listwallets"):
            return
        try:
            await self._rpc.call("loadwallet", self.name)
        except RpcWalletNotFoundError:
            await self._rpc.call("createwallet", self.name)
        except RpcWalletError:
            # Somebody else is loading it at this moment, or it cannot be read.
            for _ in range(_LOADING_LOOKS):
                if self.name in await self._rpc.call("listwallets"):
                    return
                await asyncio.sleep(_LOADING_PAUSE_S)
            raise

    async def close(self) -> None:
        """Close the connections that this object opened."""
        if self._own:
            await self._rpc.close()

    async def new_address(self, kind: str | None = None) -> str:
        """A fresh address of the wallet: `bech32`, `p2sh-segwit` or `legacy`.

        Without a word, segwit where the coin has it.
        """
        usual = "bech32" if self.coin.addresses.bech32 else "legacy"
        address: str = await self._call("getnewaddress", "", kind or usual)
        parse_address(address, self.coin)
        return address

    async def balance(self) -> Balance:
        """What the wallet holds, in base units."""
        mine = (await self._call("getbalances"))["mine"]
        return Balance(
            trusted=self._sat(mine["trusted"]),
            untrusted_pending=self._sat(mine["untrusted_pending"]),
            immature=self._sat(mine["immature"]),
        )

    async def unspent(self, *, min_confirmations: int = 1) -> list[Unspent]:
        """Outputs that the wallet can spend; those inside an extension block left out."""
        rows = await self._call("listunspent", min_confirmations)
        return [
            Unspent(
                txid=row["txid"],
                vout=row["vout"],
                sat=self._sat(row["amount"]),
                confirmations=row["confirmations"],
                address=row.get("address", ""),
            )
            for row in rows
            # What lies inside Litecoin's extension block has no output number.
            if "vout" in row
        ]

    async def prepare(
        self,
        outputs: Mapping[str, int],
        *,
        fee_rate: int | None = None,
        subtract_fee_from: Sequence[int] | None = None,
        max_fee_sat: int | None = None,
    ) -> SignedTransaction:
        """Make and sign a payment; nothing is sent, nothing is locked.

        Args:
            outputs: Base units by address, in the order of the outputs.
            fee_rate: Base units per 1,000 virtual bytes; None lets the daemon estimate.
            subtract_fee_from: Positions of the outputs that bear the fee; None: the wallet does.
            max_fee_sat: Cap on the whole fee, beside the wallet's cap on the rate.

        Raises:
            InvalidAddressError: An address is not one of this coin.
            RpcInsufficientFundsError: The wallet has not enough.
            PaymentRefusedError: The daemon made something else than was asked.
            RpcVerifyRejectedError: The mempool would not take the payment.
            RpcError: The daemon does not answer; nothing was sent.
        """
        assert 0 < len(outputs) <= MAX_OUTPUTS, "a payment has 1 to 2,000 payees"
        assert all(type(sat) is int and sat > 0 for sat in outputs.values()), "payments are ints"
        asked = [(parse_address(a, self.coin).script_pubkey, sat) for a, sat in outputs.items()]
        bearers = sorted(set(subtract_fee_from or ()))
        assert all(0 <= i < len(asked) for i in bearers), "fee bearers are outputs"
        payees = [{address: from_sat(sat)} for address, sat in outputs.items()]
        empty = await self._call("createrawtransaction", [], payees)
        options: dict[str, Any] = {
            "changePosition": len(asked),
            "lockUnspents": False,
            "subtractFeeFromOutputs": bearers,
        }
        if fee_rate is not None:
            options["feeRate"] = from_sat(fee_rate)
        funded = await self._call("fundrawtransaction", empty, options)
        signed = await self._call("signrawtransactionwithwallet", funded["hex"])
        if signed.get("complete") is not True:
            raise PaymentRefusedError("the wallet cannot sign every input of the payment")
        transaction = self._parse(signed["hex"])
        decoded = await self._call("decoderawtransaction", signed["hex"])
        if decoded["txid"] != transaction.txid:
            raise PaymentRefusedError("the daemon reads another transaction id than we do")
        fee = await self._fee(transaction)
        if self._sat(funded["fee"]) != fee:
            raise PaymentRefusedError("the daemon states another fee than the transaction pays")
        await self._check_change(transaction, len(asked))
        deducted = check_payment(
            transaction,
            asked,
            bearers,
            fee,
            max_fee=self._fee_cap(transaction, max_fee_sat),
        )
        await self._check_taken(signed["hex"])
        return self._signed(signed["hex"], transaction, fee, deducted, len(asked))

    async def send(self, raw_hex: str) -> SendOutcome:
        """Hand a signed transaction to the network; harmless to repeat.

        Never raises for what the daemon says: an answer that did not come, or
        that does not settle the question, is `SendVerdict.UNKNOWN`.
        """
        try:
            txid = await self._call("sendrawtransaction", raw_hex)
        except RpcAlreadyInChainError as error:
            return SendOutcome(SendVerdict.ACCEPTED, error.message)
        except RpcRejectedError as error:
            return await self._after_rejection(raw_hex, error)
        except RpcUnavailableError as error:
            return SendOutcome(SendVerdict.NOT_SENT, error.message)
        except RpcOutcomeUnknownError as error:
            return SendOutcome(SendVerdict.UNKNOWN, error.message)
        if txid != self._parse(raw_hex).txid:
            return SendOutcome(SendVerdict.UNKNOWN, "the daemon answered with another id")
        return SendOutcome(SendVerdict.ACCEPTED, "")

    async def look_up(self, txid: str, *, inputs: Collection[str] = ()) -> TxStatus:
        """Where a transaction is.

        Args:
            txid: The transaction.
            inputs: Its inputs as `txid:vout`; with them a transaction that was
                never seen but whose money has gone elsewhere is found out.

        Raises:
            RpcError: The daemon does not answer.
        """
        status = await self._look_once(txid, inputs)
        if status.state is TxState.CONFLICTED and not status.confirmations:
            # A block that came between two questions also makes inputs disappear.
            status = await self._look_once(txid, inputs)
        return status

    async def _look_once(self, txid: str, inputs: Iterable[str]) -> TxStatus:
        try:
            known = await self._call("gettransaction", txid)
        except RpcNotFoundError:
            return await self._look_up_foreign(txid, inputs)
        confirmations = int(known["confirmations"])
        conflicts = tuple(known.get("walletconflicts", ()))
        if confirmations > 0:
            return TxStatus(
                txid,
                TxState.CONFIRMED,
                confirmations,
                known["blockhash"],
                known.get("blockheight"),
                conflicts,
            )
        if confirmations < 0:
            return TxStatus(txid, TxState.CONFLICTED, confirmations, conflicts=conflicts)
        if await self._in_mempool(txid):
            return TxStatus(txid, TxState.IN_MEMPOOL, conflicts=conflicts)
        if await self._spent_elsewhere(inputs):
            return TxStatus(txid, TxState.CONFLICTED, conflicts=conflicts)
        return TxStatus(txid, TxState.DROPPED, conflicts=conflicts)

    async def received_since(self, block_hash: str | None = None) -> Receipts:
        """Outputs that came to the wallet after `block_hash` (None: ever), unconfirmed included.

        Change from the wallet's own payments is not a receipt.
        """
        params: list[object] = [block_hash or "", 1, False, True]
        answer = await self._call("listsinceblock", *(params if block_hash else ()))
        receipts = tuple(
            Receipt(
                txid=row["txid"],
                vout=row["vout"],
                sat=self._sat(row["amount"]),
                category=row["category"],
                confirmations=row["confirmations"],
                block_hash=row.get("blockhash"),
                address=row.get("address", ""),
            )
            for row in answer["transactions"]
            if row["category"] != "send"
        )
        removed = tuple(sorted({row["txid"] for row in answer.get("removed", ())}))
        return Receipts(receipts, removed, answer["lastblock"])

    async def _call(self, method: str, *params: object) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except RpcWalletNotFoundError:
            # The daemon was restarted and has not loaded the wallet again.
            await self.open()
            return await self._rpc.call(method, *params)

    def _sat(self, value: object) -> int:
        return to_sat(value, self.coin.decimals)

    def _parse(self, raw_hex: str) -> Transaction:
        try:
            return parse_transaction(bytes.fromhex(raw_hex))
        except (ValueError, WireError) as error:
            raise PaymentRefusedError(f"the transaction cannot be read: {error}") from None

    async def _fee(self, transaction: Transaction) -> int:
        """Inputs less outputs, from the values of the spent outputs."""
        rows = await self.unspent(min_confirmations=0)
        values = {f"{row.txid}:{row.vout}": row.sat for row in rows}
        total = 0
        for name in transaction.input_names:
            if name not in values:
                raise PaymentRefusedError(f"the payment spends {name}, which is not ours to spend")
            total += values[name]
        return total - sum(txout.value for txout in transaction.outputs)

    async def _check_change(self, transaction: Transaction, count: int) -> None:
        for txout in transaction.outputs[count:]:
            address = address_of_script(txout.script, self.coin)
            info = await self._call("getaddressinfo", address) if address else {}
            if info.get("ismine") is not True:
                raise PaymentRefusedError("the change does not go back to the wallet")

    async def _check_taken(self, raw_hex: str) -> None:
        """Ask whether the mempool would take it: what is refused is better never signed.

        Raises:
            RpcVerifyRejectedError: It would not.
        """
        (answer,) = await self._call("testmempoolaccept", [raw_hex])
        if answer["allowed"] is not True:
            raise RpcVerifyRejectedError(
                str(answer.get("reject-reason", "refused")),
                rpc_code=-26,
                method="testmempoolaccept",
            )

    def _fee_cap(self, transaction: Transaction, max_fee_sat: int | None) -> int:
        cap = self.max_fee_rate * transaction.vsize // 1000
        return cap if max_fee_sat is None else min(cap, max_fee_sat)

    def _signed(
        self, raw_hex: str, transaction: Transaction, fee: int, deducted: int, count: int
    ) -> SignedTransaction:
        return SignedTransaction(
            raw_hex=raw_hex,
            txid=transaction.txid,
            fee_sat=fee,
            deducted_sat=deducted,
            inputs=transaction.input_names,
            outputs=tuple(
                (address_of_script(txout.script, self.coin) or txout.script.hex(), txout.value)
                for txout in transaction.outputs
            ),
            change_index=count if len(transaction.outputs) > count else None,
        )

    async def _after_rejection(self, raw_hex: str, error: RpcRejectedError) -> SendOutcome:
        """A refusal settles the question only if the transaction is not there already."""
        if error.rpc_code == -22:
            return SendOutcome(SendVerdict.REJECTED, error.message)
        try:
            status = await self.look_up(self._parse(raw_hex).txid)
        except (RpcUnavailableError, RpcOutcomeUnknownError) as unknown:
            return SendOutcome(SendVerdict.UNKNOWN, f"{error.message}; then: {unknown.message}")
        if status.state in {TxState.CONFIRMED, TxState.IN_MEMPOOL}:
            return SendOutcome(SendVerdict.ACCEPTED, error.message)
        definite = isinstance(error, RpcVerifyRejectedError) or error.rpc_code == -22
        return SendOutcome(SendVerdict.REJECTED if definite else SendVerdict.UNKNOWN, error.message)

    async def _look_up_foreign(self, txid: str, inputs: Iterable[str]) -> TxStatus:
        """Ask beyond the wallet: the mempool, and the chain where it is indexed."""
        try:
            known = await self._call("getrawtransaction", txid, True)
        except RpcNotFoundError:
            if await self._spent_elsewhere(inputs):
                return TxStatus(txid, TxState.CONFLICTED)
            return TxStatus(txid, TxState.NOT_FOUND)
        confirmations = int(known.get("confirmations", 0))
        if confirmations > 0:
            return TxStatus(txid, TxState.CONFIRMED, confirmations, known["blockhash"])
        if await self._in_mempool(txid):
            return TxStatus(txid, TxState.IN_MEMPOOL)
        return TxStatus(txid, TxState.DROPPED)

    async def _in_mempool(self, txid: str) -> bool:
        try:
            await self._call("getmempoolentry", txid)
        except RpcNotFoundError:
            return False
        return True

    async def _spent_elsewhere(self, inputs: Iterable[str]) -> bool:
        for name in inputs:
            txid, _, index = name.partition(":")
            if await self._call("gettxout", txid, int(index), True) is None:
                return True
        return False

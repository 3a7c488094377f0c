"""RPC methods about accounts, simulated calls, fees and sending."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from millpond.chains.devevm import wire
from millpond.chains.devevm.chain import Devevm
from millpond.chains.devevm.errors import REVERTED, DevevmRpcError, invalid, refused
from millpond.chains.devevm.machine import Call, Outcome, next_base_fee, read_header
from millpond.chains.devevm.methods import read_address, read_bytes, read_quantity, rpc
from millpond.chains.devevm.tags import block_number, header_at

_TIP_WEI = 10**9
_MAX_HISTORY = 1_024
_MAX_PERCENTILES = 100
_ERROR_STRING = bytes.fromhex("08c379a0")
_TX_GAS = 21_000
_STIPEND = 2_300


class StateMethods:
    """What accounts have, and what calls would do."""

    def __init__(self, chain: Devevm) -> None:
        self._chain = chain

    @rpc("eth_getBalance")
    def balance(self, address: Any, tag: Any = "latest") -> str:
        """Wei of an account."""
        return wire.quantity(self._state(tag).get_balance(read_address(address)))

    @rpc("eth_getTransactionCount")
    def transaction_count(self, address: Any, tag: Any = "latest") -> str:
        """Next nonce of an account; `pending` counts what waits without a gap."""
        account = read_address(address)
        nonce = self._state(tag).get_nonce(account)
        if tag == "pending":
            nonce = self._chain.mempool.pending_nonce(account, nonce)
        return wire.quantity(nonce)

    @rpc("eth_getCode")
    def code(self, address: Any, tag: Any = "latest") -> str:
        """Code of a contract."""
        return wire.data(self._state(tag).get_code(read_address(address)))

    @rpc("eth_getStorageAt")
    def storage(self, address: Any, slot: Any, tag: Any = "latest") -> str:
        """A slot of a contract, 32 bytes."""
        place = read_quantity(slot, "argument 1")
        value = self._state(tag).get_storage(read_address(address), place)
        return wire.data(value.to_bytes(32, "big"))

    @rpc("eth_call")
    def call(self, question: Any, tag: Any = "latest") -> str:
        """What a call would answer.

        Raises:
            DevevmRpcError: It would be reverted (3, with what it returned) or fail (-32000).
        """
        header = header_at(self._chain, tag)
        call = self._call(question)
        self._must_afford(header, call)
        outcome = self._chain.machine.simulate(header, call)
        if outcome.failure is not None:
            raise _failed(outcome)
        return wire.data(outcome.output)

    @rpc("eth_estimateGas")
    def estimate_gas(self, question: Any, tag: Any = "latest") -> str:
        """Gas that a transaction needs: the least found by halving, to 1.5 %.

        Raises:
            DevevmRpcError: It would be reverted (3), or fails with any gas (-32000).
        """
        header = header_at(self._chain, tag)
        call = self._call(question)
        self._must_afford(header, call)
        if call.to is not None and not call.data and not self._has_code(header, call.to):
            return wire.quantity(_TX_GAS)
        outcome = self._chain.machine.simulate(header, call)
        if outcome.failure is not None and not outcome.reverted:
            raise refused(f"gas required exceeds allowance ({call.gas})")
        if outcome.failure is not None:
            raise _failed(outcome)
        return wire.quantity(self._least_gas(header, call, outcome.gas_used))

    @rpc("eth_gasPrice")
    def gas_price(self) -> str:
        """What a legacy transaction should pay."""
        return wire.quantity(self._chain.base_fee + _TIP_WEI)

    @rpc("eth_maxPriorityFeePerGas")
    def priority_fee(self) -> str:
        """What a transaction should pay above the base fee."""
        return wire.quantity(_TIP_WEI)

    @rpc("eth_feeHistory")
    def fee_history(self, count: Any, newest: Any, percentiles: Any = None) -> dict[str, Any]:
        """Base fees, fullness and tips of the last blocks."""
        wanted = min(read_quantity(count, "argument 0"), _MAX_HISTORY)
        last = block_number(self._chain, newest)
        if last > self._chain.height:
            raise refused("request beyond head block")
        marks = _percentiles(percentiles)
        first = max(0, last - wanted + 1)
        if wanted == 0:
            return {"oldestBlock": "0x0", "gasUsedRatio": []}
        headers = [self._header(number) for number in range(first, last + 1)]
        fees = [header.base_fee_per_gas for header in headers] + [next_base_fee(headers[-1])]
        history: dict[str, Any] = {
            "oldestBlock": wire.quantity(first),
            "baseFeePerGas": [wire.quantity(fee) for fee in fees],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        }
        if marks:
            history["reward"] = [self._tips(header, marks) for header in headers]
        return history

    @rpc("eth_sendRawTransaction")
    def send_raw(self, raw: Any) -> str:
        """Take a signed transaction; answers its hash."""
        return wire.data(self._chain.send(read_bytes(raw, "argument 0")))

    def _state(self, tag: Any) -> Any:
        return self._chain.machine.state(header_at(self._chain, tag))

    def _header(self, number: int) -> Any:
        block = self._chain.storage.block(number)
        assert block is not None, "blocks up to the head are kept"
        return read_header(block.header)

    def _has_code(self, header: Any, address: bytes) -> bool:
        return bool(self._chain.machine.state(header).get_code(address))

    def _call(self, question: Any) -> Call:
        if not isinstance(question, dict):
            raise invalid("invalid argument 0: not an object")
        most = self._chain.params.gas_limit
        gas = question.get("gas")
        given = question.get("input", question.get("data"))
        to, sender = question.get("to"), question.get("from")
        return Call(
            sender=bytes(20) if sender is None else read_address(sender),
            to=None if to is None else read_address(to),
            gas=most if gas is None else min(read_quantity(gas, "gas"), most),
            value=read_quantity(question.get("value") or 0, "value"),
            data=b"" if given is None else read_bytes(given, "input"),
        )

    def _must_afford(self, header: Any, call: Call) -> None:
        if not call.value:
            return
        have = self._chain.machine.state(header).get_balance(call.sender)
        if have < call.value:
            raise refused(
                "insufficient funds for gas * price + value: "
                f"address {wire.data(call.sender)} have {have} want {call.value}"
            )

    def _least_gas(self, header: Any, call: Call, used: int) -> int:
        """The least gas that the call works with, sought as go-ethereum does."""
        low, high = used - 1, call.gas
        hopeful = (used + _STIPEND) * 64 // 63
        if hopeful < high:
            low, high = self._halve(header, call, low, high, hopeful)
        while low + 1 < high and (high - low) * 1000 > high * 15:
            # Most calls need little more than they use, so start from below.
            middle = min((low + high) // 2, low * 2)
            low, high = self._halve(header, call, low, high, middle)
        return high

    def _halve(self, header: Any, call: Call, low: int, high: int, gas: int) -> tuple[int, int]:
        tried = Call(sender=call.sender, to=call.to, gas=gas, value=call.value, data=call.data)
        failed = self._chain.machine.simulate(header, tried).failure is not None
        return (gas, high) if failed else (low, gas)

    def _tips(self, header: Any, marks: list[float]) -> list[str]:
        """Tips at the percentiles of a block's gas."""
        txs = self._chain.storage.txs(header.block_number)
        if not txs:
            return ["0x0"] * len(marks)
        base_fee = header.base_fee_per_gas
        tips = sorted((tx.receipt.gas_price - base_fee, tx.receipt.gas_used) for tx in txs)
        found = []
        for mark in marks:
            threshold, gone, place = header.gas_used * mark / 100, tips[0][1], 0
            while gone < threshold and place < len(tips) - 1:
                place += 1
                gone += tips[place][1]
            found.append(wire.quantity(tips[place][0]))
        return found


def _percentiles(given: Any) -> list[float]:
    marks = given or []
    if not isinstance(marks, list) or len(marks) > _MAX_PERCENTILES:
        raise invalid(f"invalid argument 2: at most {_MAX_PERCENTILES} percentiles")
    for before, mark in zip([0, *marks], marks, strict=False):
        if isinstance(mark, bool) or not isinstance(mark, int | float) or not before <= mark <= 100:
            raise invalid(f"invalid reward percentile: {mark}")
    return [float(mark) for mark in marks]


def _failed(outcome: Outcome) -> DevevmRpcError:
    assert outcome.failure is not None, "only a failure is told"
    if not outcome.reverted:
        return refused(outcome.failure)
    reason = revert_reason(outcome.output)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return DevevmRpcError(REVERTED, message, wire.data(outcome.output))


def revert_reason(output: bytes) -> str | None:
    """The sentence in an `Error(string)`; None if there is none."""
    if output[:4] != _ERROR_STRING:
        return None
    try:
        (reason,) = abi_decode(["string"], output[4:])
    except DecodingError:
        return None
    return str(reason)

"""Placeholder until the nodes' own client is here: `ChainAccess` over one endpoint."""

from __future__ import annotations

from typing import Any

import aiohttp

from millpond.chains.evm.tx import (
    Call,
    CallRevertedError,
    Head,
    Market,
    Receipt,
    SendAnswer,
    Verdict,
)
from millpond.errors import UnavailableError

_VERDICTS = (
    ("already known", Verdict.KNOWN),
    ("already imported", Verdict.KNOWN),
    ("known transaction", Verdict.KNOWN),
    ("nonce too low", Verdict.NONCE_TOO_LOW),
    ("nonce too high", Verdict.NONCE_TOO_HIGH),
    ("underpriced", Verdict.UNDERPRICED),
    ("replacement fee too low", Verdict.UNDERPRICED),
    ("less than block base fee", Verdict.UNDERPRICED),
    ("insufficient funds", Verdict.NO_MONEY),
    ("doesn't have enough funds", Verdict.NO_MONEY),
)


class RpcAccess:
    chain_id = 31337

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session

    async def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            async with self.session.post(self.url, json=body) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            raise UnavailableError(str(error)) from None
        if "error" in answer:
            message = answer["error"]["message"]
            if "revert" in message.lower():
                raise CallRevertedError(message)
            raise UnavailableError(message, rpc=True)
        return answer["result"]

    async def head(self) -> Head:
        block = await self.rpc("eth_getBlockByNumber", "latest", False)
        return Head(int(block["number"], 16), block["hash"])

    async def block_hash(self, number: int) -> str | None:
        block = await self.rpc("eth_getBlockByNumber", hex(number), False)
        return None if block is None else block["hash"]

    async def receipt(self, tx_hash: str) -> Receipt | None:
        found = await self.rpc("eth_getTransactionReceipt", tx_hash)
        if found is None:
            return None
        return Receipt(
            tx_hash=tx_hash,
            block_number=int(found["blockNumber"], 16),
            block_hash=found["blockHash"],
            status=int(found["status"], 16),
            gas_used=int(found["gasUsed"], 16),
            effective_gas_price=int(found["effectiveGasPrice"], 16),
            contract_address=found["contractAddress"],
            logs=tuple(found["logs"]),
        )

    async def in_pool(self, tx_hash: str) -> bool:
        return await self.rpc("eth_getTransactionByHash", tx_hash) is not None

    async def count(self, address: str, block: int | None = None) -> int:
        tag = "latest" if block is None else hex(block)
        return int(await self.rpc("eth_getTransactionCount", address, tag), 16)

    async def balance(self, address: str) -> int:
        return int(await self.rpc("eth_getBalance", address, "latest"), 16)

    async def market(self) -> Market:
        history = await self.rpc("eth_feeHistory", "0x1", "latest", [])
        return Market(int(history["baseFeePerGas"][-1], 16), 10**9)

    async def simulate(self, sender: str, call: Call) -> bytes:
        result = await self.rpc("eth_call", self._call(sender, call), "latest")
        return bytes.fromhex(result[2:])

    async def estimate_gas(self, sender: str, call: Call) -> int:
        return int(await self.rpc("eth_estimateGas", self._call(sender, call)), 16)

    async def send(self, raw: bytes) -> SendAnswer:
        try:
            await self.rpc("eth_sendRawTransaction", "0x" + raw.hex())
        except UnavailableError as error:
            for words, verdict in _VERDICTS:
                if words in error.message.lower():
                    return SendAnswer(verdict, error.message)
            verdict = Verdict.REFUSED if error.details.get("rpc") else Verdict.UNKNOWN
            return SendAnswer(verdict, error.message)
        return SendAnswer(Verdict.ACCEPTED)

    def _call(self, sender: str, call: Call) -> dict[str, Any]:
        fields: dict[str, Any] = {"from": sender, "data": "0x" + call.data.hex()}
        if call.to is not None:
            fields["to"] = call.to
        if call.value:
            fields["value"] = hex(call.value)
        return fields

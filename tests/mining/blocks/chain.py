"""A chain that is told what it holds, for the life of blocks without a daemon."""

from dataclasses import dataclass, field
from typing import Any

from millpond.chains.bitcoin.daemons import SubmitResult, SubmitVerdict
from millpond.chains.bitcoin.errors import RpcNotFoundError, RpcUnavailableError
from millpond.chains.bitcoin.health import Tip


@dataclass
class ToldChain:
    """Blocks by hash with their height; `side` are known but not in the best chain."""

    height: int = 100
    best: dict[str, int] = field(default_factory=dict)
    side: dict[str, int] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    verdict: SubmitVerdict = SubmitVerdict.ACCEPTED
    reason: str = ""
    takes: dict[str, tuple[str, int]] = field(default_factory=dict)
    down: bool = False

    async def tip(self) -> Tip:
        if self.down:
            raise RpcUnavailableError("nobody answers")
        return Tip(height=self.height, block_hash="", work=self.height)

    async def get_block_header(self, block_hash: str) -> dict[str, Any]:
        if self.down:
            raise RpcUnavailableError("nobody answers")
        if block_hash in self.best:
            height = self.best[block_hash]
            return {"confirmations": self.height - height + 1, "height": height}
        if block_hash in self.side:
            return {"confirmations": -1, "height": self.side[block_hash]}
        raise RpcNotFoundError("Block not found", rpc_code=-5, method="getblockheader")

    async def submit_block(self, block_hex: str) -> list[SubmitResult]:
        self.submitted.append(block_hex)
        if self.verdict is SubmitVerdict.ACCEPTED and block_hex in self.takes:
            block_hash, height = self.takes[block_hex]
            self.best[block_hash] = height
            self.height = max(self.height, height)
        return [SubmitResult("one", self.verdict, self.reason)]

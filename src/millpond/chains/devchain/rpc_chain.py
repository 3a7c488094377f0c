"""RPC methods of a devchain about blocks: chain, templates, submission."""

from __future__ import annotations

import asyncio
from typing import Any

from millpond.chains.bitcoin.address import (
    parse_address,
)
from millpond.chains.bitcoin.amounts import from_sat
from millpond.chains.bitcoin.errors import InvalidAddressError
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import target_of_bits
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.index import Node
from millpond.chains.devchain.methods import (
    DevRpcError,
    read_block,
    read_hash,
)
from millpond.chains.devchain.mining import mine_block
from millpond.chains.devchain.template import block_template, longpoll_id
from millpond.chains.devchain.transactions import decoded
from millpond.chains.pause import first_of

_LONGPOLL_MEMPOOL_S = 10.0


class ChainMethods:
    """The methods, each with the name and the answers that a real daemon has."""

    def __init__(self, chain: Devchain) -> None:
        self._chain = chain
        self._changed = asyncio.Event()
        chain.on_tip.append(self._wake)

    def getblockcount(self) -> int:
        """Height of the best block."""
        return self._chain.tip.height

    def getbestblockhash(self) -> str:
        """Hash of the best block."""
        return self._chain.tip.hash

    def getblockhash(self, height: int) -> str:
        """Hash at a height of the best chain."""
        if not 0 <= height < len(self._chain.active):
            raise DevRpcError(-8, "Block height out of range")
        return self._chain.active[height].hash

    def getblockchaininfo(self) -> dict[str, Any]:
        """State of the chain."""
        tip = self._chain.tip
        return {
            "chain": self._chain.params.coin.name,
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": tip.hash,
            "difficulty": self._difficulty(tip),
            "mediantime": tip.median_time,
            "verificationprogress": 1,
            "initialblockdownload": False,
            "chainwork": f"{tip.work:064x}",
            "pruned": False,
            "warnings": "",
        }

    def getblockheader(self, blockhash: str, verbose: bool = True) -> Any:  # noqa: FBT001, FBT002
        """A header, decoded or as hex."""
        node = self._node(blockhash)
        return self._header(node) if verbose else node.header.serialise().hex()

    def getblock(self, blockhash: str, verbosity: int = 1) -> Any:
        """A block as hex (0), with transaction ids (1) or decoded transactions (2)."""
        node = self._node(blockhash)
        block = self._chain.block(node)
        if verbosity == 0:
            return block.serialise().hex()
        txids = [display(txid) for txid in node.txids]
        transactions = [
            decoded(self._chain.params.coin, tx) | {"hex": tx.serialise().hex()}
            for tx in block.transactions
        ]
        return self._header(node) | {
            "size": node.size,
            "weight": block.weight,
            "tx": txids if verbosity == 1 else transactions,
        }

    def getchaintips(self) -> list[dict[str, Any]]:
        """The ends of all branches."""
        leaves = [node for node in self._chain.nodes.values() if not node.children]
        tips = {id(node): node for node in [self._chain.tip, *leaves]}
        return [
            {
                "height": node.height,
                "hash": node.hash,
                "branchlen": 0 if self._chain.is_active(node) else node.height - self._fork(node),
                "status": self._tip_status(node),
            }
            for node in sorted(tips.values(), key=lambda n: -n.height)
        ]

    def getdifficulty(self) -> float:
        """Difficulty of the best block."""
        return self._difficulty(self._chain.tip)

    def getmininginfo(self) -> dict[str, Any]:
        """What a miner asks first."""
        return {
            "blocks": self._chain.tip.height,
            "difficulty": self._difficulty(self._chain.tip),
            "networkhashps": self.getnetworkhashps(),
            "pooledtx": len(self._chain.mempool.entries),
            "chain": self._chain.params.coin.name,
            "warnings": "",
        }

    def getnetworkhashps(self, nblocks: int = 120, height: int = -1) -> float:
        """Work over time of the last blocks."""
        top = self._chain.tip if height < 0 else self._chain.active[height]
        first = top.ancestor(max(top.height - max(nblocks, 1), min(1, top.height)))
        seconds = top.header.time - first.header.time
        return (top.work - first.work) / seconds if seconds > 0 else 0.0

    def getnetworkinfo(self) -> dict[str, Any]:
        """Who answers; there is no network."""
        return {
            "version": 10000,
            "subversion": "/MillpondDevchain:0.1.0/",
            "protocolversion": 70016,
            "connections": 1,
            "networkactive": True,
            "relayfee": from_sat(1000),
            "incrementalfee": from_sat(1000),
            "warnings": "",
        }

    def getconnectioncount(self) -> int:
        """As if one peer were there."""
        return 1

    def validateaddress(self, address: str) -> dict[str, Any]:
        """Is it an address of this chain?"""
        try:
            parsed = parse_address(address, self._chain.params.coin)
        except InvalidAddressError:
            return {"isvalid": False}
        answer: dict[str, Any] = {
            "isvalid": True,
            "address": parsed.text,
            "scriptPubKey": parsed.script_pubkey.hex(),
            "isscript": parsed.kind in {"p2sh", "p2wsh"},
            "iswitness": parsed.witness_version is not None,
        }
        if parsed.witness_version is not None:
            answer["witness_version"] = parsed.witness_version
            answer["witness_program"] = parsed.program.hex()
        return answer

    async def getblocktemplate(
        self, template_request: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Work for a miner (BIP 22, 23, 145); with `longpollid` it waits for news."""
        request = template_request or {}
        if "segwit" not in request.get("rules", ()):
            raise DevRpcError(
                -8,
                "getblocktemplate must be called with the segwit rule set "
                '(call with {"rules": ["segwit"]})',
            )
        awaited = request.get("longpollid")
        if isinstance(awaited, str):
            await self._wait_for_news(awaited)
        return block_template(self._chain)

    def submitblock(self, hexdata: str, dummy: str = "") -> str | None:
        """Take a block; null or the reason why not."""
        del dummy
        return self._chain.submit(read_block(hexdata))

    async def generatetoaddress(
        self, nblocks: int, address: str, maxtries: int = 1_000_000
    ) -> list[str]:
        """Mine blocks here and now."""
        try:
            script = parse_address(address, self._chain.params.coin).script_pubkey
        except InvalidAddressError:
            raise DevRpcError(-5, "Error: Invalid address") from None
        hashes = []
        for _ in range(nblocks):
            block = await mine_block(self._chain, script, max_tries=maxtries)
            if block is None:
                break
            reason = self._chain.submit(block)
            if reason is not None:
                raise DevRpcError(-32603, f"the chain refuses its own block: {reason}")
            hashes.append(display(block.header.hash_le))
        return hashes

    def invalidateblock(self, blockhash: str) -> None:
        """Treat a block and all above as invalid."""
        self._mark(blockhash, valid=False)

    def reconsiderblock(self, blockhash: str) -> None:
        """Take `invalidateblock` back."""
        self._mark(blockhash, valid=True)

    def _mark(self, blockhash: str, *, valid: bool) -> None:
        node = self._node(blockhash)
        if node.parent is None:
            raise DevRpcError(-20, "the genesis block stays valid")
        self._chain.mark(node, valid=valid)

    def _wake(self, _: Node) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_news(self, awaited: str) -> None:
        """Until the tip changes, or later the mempool; a real daemon looks as seldom."""
        chain = self._chain
        while awaited[:64] == chain.tip.hash:
            await first_of(self._changed.wait(), chain.clock.sleep(_LONGPOLL_MEMPOOL_S))
            if awaited != longpoll_id(chain):
                return

    def _node(self, blockhash: str) -> Node:
        node = self._chain.nodes.get(read_hash(blockhash, "blockhash"))
        if node is None:
            raise DevRpcError(-5, "Block not found")
        return node

    def _difficulty(self, node: Node) -> float:
        one = self._chain.params.coin.difficulty_1_target
        return one / target_of_bits(node.header.bits)

    def _fork(self, node: Node) -> int:
        while not self._chain.is_active(node):
            assert node.parent is not None, "every branch leaves the best chain somewhere"
            node = node.parent
        return node.height

    def _tip_status(self, node: Node) -> str:
        if node is self._chain.tip:
            return "active"
        if node.invalid:
            return "invalid"
        return "valid-fork" if node.connected else "valid-headers"

    def _header(self, node: Node) -> dict[str, Any]:
        active = self._chain.is_active(node)
        answer: dict[str, Any] = {
            "hash": node.hash,
            "confirmations": self._chain.tip.height - node.height + 1 if active else -1,
            "height": node.height,
            "version": node.header.version,
            "versionHex": f"{node.header.version & 0xFFFFFFFF:08x}",
            "merkleroot": display(node.header.merkle_root_le),
            "time": node.header.time,
            "mediantime": node.median_time,
            "nonce": node.header.nonce,
            "bits": f"{node.header.bits:08x}",
            "difficulty": self._difficulty(node),
            "chainwork": f"{node.work:064x}",
            "nTx": len(node.txids),
        }
        if node.parent is not None:
            answer["previousblockhash"] = node.parent.hash
        if active and node.height < self._chain.tip.height:
            answer["nextblockhash"] = self._chain.active[node.height + 1].hash
        return answer

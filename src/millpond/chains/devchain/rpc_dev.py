"""`dev_*` methods: faults, reorganisations and accidents on request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from millpond.chains.bitcoin.address import parse_address
from millpond.chains.bitcoin.hashes import display
from millpond.chains.bitcoin.wire import Transaction, TxIn, TxOut
from millpond.chains.devchain.chain import Devchain
from millpond.chains.devchain.faults import Fault, Faults
from millpond.chains.devchain.index import Node
from millpond.chains.devchain.methods import DevRpcError, read_hash
from millpond.chains.devchain.mining import mine_block
from millpond.chains.devchain.wallets import DevWallet, WalletBook

_BURN = b"\x00\x14" + bytes(20)


class DevMethods:
    """What a real daemon cannot be asked to do."""

    def __init__(
        self,
        chain: Devchain,
        book: WalletBook,
        faults: Faults,
        refuse: Callable[[float], Awaitable[None]],
    ) -> None:
        self._chain = chain
        self._book = book
        self._faults = faults
        self._refuse = refuse
        self._extra = 0

    def dev_set_fault(self, fault: dict[str, Any]) -> None:
        """Put a fault in force; see `millpond.chains.devchain.faults.Fault`."""
        try:
            self._faults.add(msgspec.convert(fault, Fault))
        except msgspec.ValidationError as error:
            raise DevRpcError(-8, str(error)) from None

    def dev_clear_faults(self) -> None:
        """Be well again."""
        self._faults.clear()

    async def dev_refuse_connections(self, seconds: Any) -> None:
        """Close the port for a while, as a daemon that is being restarted."""
        await self._refuse(float(seconds))

    async def dev_reorg(self, depth: int, extra_blocks: int = 1, address: str = "") -> list[str]:
        """Replace the last `depth` blocks by `depth + extra_blocks` others.

        The new branch has no transactions; those of the old one go back to
        the mempool where they still hold. Returns the new blocks' hashes.
        """
        if not 0 < depth <= self._chain.tip.height or extra_blocks < 1:
            raise DevRpcError(-8, "depth is out of range")
        script = _BURN
        if address:
            script = parse_address(address, self._chain.params.coin).script_pubkey
        parent = self._chain.active[self._chain.tip.height - depth]
        return await self._branch(parent, depth + extra_blocks, script, [])

    async def dev_sibling(self, blockhash: str, address: str = "") -> str:
        """A block that competes with `blockhash` at its height; it came later, so it loses."""
        node = self._chain.nodes.get(read_hash(blockhash, "blockhash"))
        if node is None or node.parent is None:
            raise DevRpcError(-5, "Block not found")
        script = _BURN
        if address:
            script = parse_address(address, self._chain.params.coin).script_pubkey
        return (await self._branch(node.parent, 1, script, []))[0]

    def dev_evict(self, txid: str) -> bool:
        """Drop a transaction, and what spends it, from the mempool without a trace."""
        wanted = read_hash(txid, "txid")
        present = wanted in self._chain.mempool.entries
        self._chain.mempool.remove(wanted, with_descendants=True)
        return present

    async def dev_double_spend(self, txid: str, depth: int = 0) -> str:
        """Confirm another transaction that spends the same money back to its owner.

        Args:
            txid: A transaction of one of the wallets, waiting or confirmed.
            depth: Blocks to undo first, so that a confirmed one can be replaced.

        Returns:
            Id of the rival.
        """
        wanted = read_hash(txid, "txid")
        wallet, tx = self._known(wanted)
        parent = self._chain.active[self._chain.tip.height - depth]
        self._chain.mempool.remove(wanted, with_descendants=True)
        spent = [wallet.owned.get(txin.outpoint, 0) for txin in tx.inputs]
        own = wallet.new_address("bech32", change=True)
        script = parse_address(own, self._chain.params.coin).script_pubkey
        inputs = tuple(TxIn(txin.outpoint) for txin in tx.inputs)
        rival = Transaction(2, inputs, (TxOut(sum(spent) - 10_000, script),))
        if depth:
            for node in list(parent.children):
                self._chain.mark(node, valid=False)
            self._chain.mempool.remove(wanted, with_descendants=True)
        signed, complete = wallet.sign(rival)
        assert complete, "a wallet can sign for its own money again"
        await self._branch(parent, depth + 1, _BURN, [signed])
        return signed.txid

    def _known(self, txid_le: bytes) -> tuple[DevWallet, Transaction]:
        for wallet in self._book.all.values():
            known = wallet.history.get(txid_le)
            if known is not None and all(i.outpoint in wallet.owned for i in known.tx.inputs):
                return wallet, known.tx
        raise DevRpcError(-5, "no wallet here has made that transaction")

    async def _branch(
        self, parent: Node, length: int, script: bytes, first: list[Transaction]
    ) -> list[str]:
        hashes: list[str] = []
        node = parent
        for i in range(length):
            self._extra += 1
            block = await mine_block(
                self._chain,
                script,
                parent=node,
                transactions=first if i == 0 else [],
                extra=self._extra,
                max_tries=1 << 32,
            )
            assert block is not None, "a block is found within all nonces"
            reason = self._chain.submit(block)
            if reason not in {None, "inconclusive"}:
                raise DevRpcError(-32603, f"the chain refuses its own block: {reason}")
            node = self._chain.nodes[block.header.hash_le]
            hashes.append(display(node.hash_le))
        return hashes

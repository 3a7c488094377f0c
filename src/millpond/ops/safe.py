"""What an operator does with proposals to a Safe by hand."""

from __future__ import annotations

from millpond.chains.evm.address import checksum
from millpond.chains.evm.proposals import Proposal, SafeEffect, SafeProposals
from millpond.chains.evm.tx import EvmTransactionHandler, lanes_of_chain
from millpond.errors import InvalidInputError
from millpond.intents import Intent, IntentState, Runner
from millpond.intents.model import FINAL
from millpond.ops.evm import EvmDesk
from millpond.trail import Trail

_POLL_S = 0.2
_PATIENCE = 3_000
"""Looks at an execution before the command ends; it goes on without it."""


class SafeDesk:
    """Proposals on one chain.

    Args:
        desk: The chain and the database.
    """

    def __init__(self, desk: EvmDesk) -> None:
        self._desk = desk
        self._proposals = SafeProposals(desk.intents, desk.room.chain_id, desk.room.nodes)
        self._trail = Trail(desk.clock)

    async def propose(self, safe: str, to: str, data: str, title: str, *, actor: str) -> Proposal:
        """Prepare a transaction for the owners to sign.

        Raises:
            InvalidInputError: An address or the data is none, or no Safe stands there.
        """
        address, target = checksum(safe), checksum(to)
        calldata = _hex(data)
        state = await self._proposals.safe(address)
        async with self._desk.store.begin() as tx:
            made = await self._proposals.prepare(
                tx, address, state, target, calldata, title=title, actor=actor
            )
            after = {"to": target, "data": data, "safe_tx_hash": made.safe_tx_hash}
            await self._trail.record(tx, actor, "safe.propose", made.id, before={}, after=after)
        return made

    async def listed(self, safe: str | None) -> list[Proposal]:
        """Newest first."""
        async with self._desk.store.read() as tx:
            return await self._proposals.listed(tx, safe=checksum(safe) if safe else None)

    async def sign(self, proposal_id: str) -> Proposal:
        """Sign with every key of this machine that is an owner's.

        Raises:
            InvalidInputError: None is.
        """
        proposal = await self._get(proposal_id)
        state = await self._proposals.safe(proposal.safe)
        owners = [signer for signer in self._desk.room.signers if signer.address in state.owners]
        if not owners:
            raise InvalidInputError("no key of this machine is an owner of the Safe")
        async with self._desk.store.begin() as tx:
            for signer in owners:
                proposal = await self._proposals.sign(tx, proposal_id, signer, state)
        return proposal

    async def add_signature(self, proposal_id: str, signature: str) -> Proposal:
        """Keep a signature that was made elsewhere.

        Raises:
            SignatureRefusedError: It is none of an owner for this proposal.
        """
        proposal = await self._get(proposal_id)
        state = await self._proposals.safe(proposal.safe)
        async with self._desk.store.begin() as tx:
            return await self._proposals.add_signature(tx, proposal_id, _hex(signature), state)

    async def execute(self, proposal_id: str, *, actor: str) -> Proposal:
        """Execute a ready proposal and wait until it is final.

        Raises:
            ProposalStateError: It is not ready.
        """
        signer = self._desk.room.first_signer
        async with self._desk.store.begin() as tx:
            intent = await self._proposals.execute(tx, proposal_id, signer=signer, actor=actor)
            await self._trail.record(tx, actor, "safe.execute", proposal_id)
        await self._follow(intent)
        return await self._get(proposal_id)

    async def cancel(self, proposal_id: str, *, actor: str, reason: str) -> Proposal:
        """Give a proposal up.

        Raises:
            ProposalStateError: It is being executed, or at its end.
        """
        async with self._desk.store.begin() as tx:
            done = await self._proposals.cancel(tx, proposal_id, actor=actor, reason=reason)
            await self._trail.record(tx, actor, "safe.cancel", proposal_id, reason=reason)
        return done

    async def _get(self, proposal_id: str) -> Proposal:
        async with self._desk.store.read() as tx:
            return await self._proposals.get(tx, proposal_id)

    async def _follow(self, intent: Intent) -> None:
        desk = self._desk
        handler = EvmTransactionHandler(
            desk.room.transactions, SafeEffect(self._proposals, desk.intents)
        )
        name = f"desk-{desk.intents.ids.new()}"
        lanes = lanes_of_chain(desk.room.chain_id)
        runner = Runner(desk.intents, [handler], name, lanes=lanes)
        for _ in range(_PATIENCE):
            async with desk.store.read() as tx:
                now = await desk.intents.get(tx, intent.id)
            if now.state in FINAL or now.state is IntentState.FROZEN:
                return
            if not await runner.run_once():
                await desk.clock.sleep(_POLL_S)


def _hex(text: str) -> bytes:
    """Bytes of 0x-hex.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise InvalidInputError("bytes are written as 0x-hex") from None

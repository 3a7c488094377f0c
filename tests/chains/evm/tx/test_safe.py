"""Safe proposals: known hashes, collecting signatures, execution on a real node."""

from __future__ import annotations

from typing import Any

import pytest

from millpond.chains.evm.contracts import Contract
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.proposals import (
    ProposalState,
    ProposalStateError,
    SafeEffect,
    SafeProposals,
    SignatureRefusedError,
)
from millpond.chains.evm.safe import SafeTx, domain_separator
from millpond.chains.evm.signers import KeySigner
from millpond.chains.evm.tx import EvmTransactionHandler
from millpond.errors import InvalidInputError
from millpond.intents import IntentState, Runner
from tests.chains.evm.tx.scene import Scene, fresh_address
from tests.contracts.artifacts import artifact

OWNERS = sorted((KeySigner(bytes([n]) * 32) for n in (1, 2, 3)), key=lambda o: o.address)
STRANGER = KeySigner(b"\x09" * 32)
WEI = 10**20


def test_the_hash_of_a_known_transaction_of_a_real_safe():
    # Arbitrum, nonce 234 of that Safe: addOwnerWithThreshold, called on itself.
    safe = "0x111CEEee040739fD91D29C34C33E6B3E112F2177"
    data = "0d582f130000000000000000000000000c75fa5a5f1c0997e3eea425cfa13184ed0ec9e5" + f"{3:064x}"
    tx = SafeTx(to=safe, value=0, data=bytes.fromhex(data), nonce=234)
    assert domain_separator(42161, safe).hex() == (
        "1cf7f9b1efe3bc47fe02fd27c649fea19e79d66040683a1c86c7490c80bf7291"
    )
    assert tx.struct_hash().hex() == (
        "d9109ea63c50ecd3b80b6b27ed5c5a9fd3d546c2169dfb69bfa7ba24cd14c7a5"
    )
    assert tx.hash(42161, safe).hex() == (
        "0cb7250b8becd7069223c54e2839feaed4cee156363fbfe5dd0a48e75c4e25b3"
    )


_one_ground = pytest.mark.parametrize("ground", ["sqlite-anvil"], indirect=True)


class Treasury:
    """A Safe of three owners, two of whom must sign, on the scene's node."""

    def __init__(self, scene: Scene, nodes: Nodes) -> None:
        self.scene = scene
        found = artifact("TestSafe")
        contract = Contract(None, found["abi"])
        arguments = contract.encode_constructor([owner.address for owner in OWNERS], 2)
        code = found["bytecode"]
        creation = bytes.fromhex(code.removeprefix("0x")) + arguments
        address = scene.node.deploy(creation, gas=6_000_000)
        self.contract = Contract(address, found["abi"])
        self.address = self.contract.address
        scene.node.set_balance(self.address, WEI)
        self.proposals = SafeProposals(scene.intents, scene.access.chain_id, nodes)
        effect = SafeEffect(self.proposals, scene.intents)
        handler = EvmTransactionHandler(scene.transactions, effect)
        scene.runner = Runner(scene.intents, [handler], "w1")

    async def propose(self, to: str, *, value: int = 1, **options: Any) -> Any:
        state = await self.proposals.safe(self.address)
        async with self.scene.store.begin() as tx:
            return await self.proposals.prepare(
                tx, self.address, state, to, b"", value=value, title="gift", actor="anna", **options
            )

    async def sign(self, proposal: Any, owner: KeySigner) -> ProposalState:
        state = await self.proposals.safe(self.address)
        async with self.scene.store.begin() as tx:
            signed = await self.proposals.sign(tx, proposal.id, owner, state)
        return signed.state

    async def execute(self, proposal: Any) -> Any:
        async with self.scene.store.begin() as tx:
            return await self.proposals.execute(
                tx, proposal.id, signer=self.scene.address, actor="anna"
            )

    async def get(self, proposal: Any) -> Any:
        async with self.scene.store.read() as tx:
            return await self.proposals.get(tx, proposal.id)


@pytest.fixture
def treasury(scene: Scene, nodes: Nodes) -> Treasury:
    return Treasury(scene, nodes)


async def test_two_of_three_owners_sign_and_it_is_executed_once(scene: Scene, treasury: Treasury):
    to = fresh_address("friend")
    proposal = await treasury.propose(to, value=10**19 * 3)
    assert proposal.state is ProposalState.PREPARED
    assert await treasury.sign(proposal, OWNERS[2]) is ProposalState.COLLECTING
    assert await treasury.sign(proposal, OWNERS[2]) is ProposalState.COLLECTING
    with pytest.raises(ProposalStateError):
        await treasury.execute(proposal)
    assert await treasury.sign(proposal, OWNERS[0]) is ProposalState.READY
    intent = await treasury.execute(proposal)
    with pytest.raises(ProposalStateError):
        await treasury.execute(proposal)
    await scene.finish(intent)
    done = await treasury.get(proposal)
    (attempt,) = await scene.attempts()
    assert (done.state, done.tx_hash) == (ProposalState.EXECUTED, attempt.tx_hash)
    assert scene.node.balance(to) == 10**19 * 3


@_one_ground
async def test_the_safe_on_chain_hashes_as_we_do(scene: Scene, treasury: Treasury):
    proposal = await treasury.propose(fresh_address("friend"), value=7)
    tx = proposal.transaction
    zero = "0x" + "0" * 40
    data = treasury.contract.encode(
        "getTransactionHash", tx.to, tx.value, tx.data, 0, 0, 0, 0, zero, zero, tx.nonce
    )
    call = {"to": treasury.address, "data": "0x" + data.hex()}
    assert scene.node.rpc("eth_call", call, "latest") == proposal.safe_tx_hash


@_one_ground
async def test_only_owners_sign_and_only_this_proposal(treasury: Treasury):
    one = await treasury.propose(fresh_address("one"))
    two = await treasury.propose(fresh_address("two"))
    assert (one.safe_nonce, two.safe_nonce) == (0, 1)
    with pytest.raises(SignatureRefusedError):
        await treasury.sign(one, STRANGER)
    state = await treasury.proposals.safe(treasury.address)
    signature = await OWNERS[0].sign_digest(bytes.fromhex(two.safe_tx_hash[2:]))
    for bad in (signature, signature[:64], b"\0" * 65, signature[:64] + b"\x01"):
        async with treasury.scene.store.begin() as tx:
            with pytest.raises(SignatureRefusedError):
                await treasury.proposals.add_signature(tx, one.id, bad, state)


@_one_ground
async def test_what_the_safe_refuses_is_ready_again_and_can_be_cancelled(
    scene: Scene, treasury: Treasury
):
    proposal = await treasury.propose(fresh_address("friend"), value=2 * WEI)
    for owner in OWNERS[:2]:
        await treasury.sign(proposal, owner)
    intent = await treasury.execute(proposal)
    await scene.work()
    assert await scene.state(intent) is IntentState.FAILED
    back = await treasury.get(proposal)
    assert back.state is ProposalState.READY
    assert back.reason.startswith("the contract refuses it")
    scene.node.set_balance(treasury.address, 3 * WEI)
    scene.clock.advance(1)
    await scene.finish(await treasury.execute(proposal))
    assert (await treasury.get(proposal)).state is ProposalState.EXECUTED
    with pytest.raises(ProposalStateError):
        async with scene.store.begin() as tx:
            await treasury.proposals.cancel(tx, proposal.id, actor="anna", reason="too late")


@_one_ground
async def test_a_later_nonce_waits_and_a_used_one_ends_the_others(scene: Scene, treasury: Treasury):
    first = await treasury.propose(fresh_address("one"))
    rival = await treasury.propose(fresh_address("rival"), nonce=0)
    second = await treasury.propose(fresh_address("two"))
    for proposal in (first, second, rival):
        for owner in OWNERS[:2]:
            await treasury.sign(proposal, owner)
    later = await treasury.execute(second)
    await scene.work()
    assert await scene.state(later) is IntentState.CREATED
    now = await treasury.execute(first)
    await scene.finish(now, later)
    states = [(await treasury.get(proposal)).state for proposal in (first, second, rival)]
    assert states == [ProposalState.EXECUTED, ProposalState.EXECUTED, ProposalState.CANCELLED]
    with pytest.raises(InvalidInputError):
        await treasury.propose(fresh_address("late"), nonce=0)

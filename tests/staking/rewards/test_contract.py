"""The distributor on chain takes the roots and proofs that statements give."""

from __future__ import annotations

import dataclasses

import pytest

from millpond.staking.rewards.closing import Prior, Seen, decide
from millpond.staking.rewards.engine import Change
from millpond.staking.rewards.epochs import pool_part
from millpond.staking.rewards.statement import TermsPart
from millpond.staking.rewards.verify import account_proof, check_proof
from tests.contracts.chain import RevertedError
from tests.contracts.worlds import World
from tests.staking.rewards.chain import ZERO_S, vault

E18 = 10**18


def test_wallets_claim_on_chain_what_the_statements_say_and_nothing_else():
    world = World()
    distributor = world.distributor()
    funder = world.chain.accounts[5]
    world.give(funder, 1000 * E18, distributor)
    distributor.send(funder, "fund", 1000 * E18)
    people = world.chain.accounts[6:11]
    pool = pool_part(vault(), 0)
    terms = [TermsPart(from_epoch=0, reward_per_minute=str(E18 + 1), weight_ppm=333_333)]
    opening = {who: (number + 1) * 10**18 + 7 for number, who in enumerate(people)}
    prior, taken = Prior(), dict.fromkeys(people, 0)
    cumulative = 0
    for epoch in range(3):
        start_s = ZERO_S + epoch * 3600
        changes = [Change(start_s + 1800, people[epoch], 0)]
        closing = decide(pool, epoch, terms, Seen(opening, changes, []), _funded(prior))
        prior, cumulative = closing.prior, closing.prior.cumulative
        statement = closing.statement
        distributor.send(
            world.roles[1],
            "post_epoch",
            statement.number,
            bytes.fromhex(statement.root[2:]),
            int(statement.emission.distributed),
            bytes.fromhex(closing.hash[2:]),
        )
        root = "0x" + distributor.call("root").hex()
        for who in people[: epoch + 2]:
            found = account_proof(closing.document, who)
            assert check_proof(found, root)
            siblings = [bytes.fromhex(one[2:]) for one in found.proof]
            with pytest.raises(RevertedError):
                distributor.send(who, "claim", who, found.cumulative + 1, siblings)
            distributor.send(who, "claim", who, found.cumulative, siblings)
            taken[who] = found.cumulative
            assert world.balance(who) == taken[who]
    assert sum(taken.values()) <= cumulative


def _funded(prior: Prior) -> Prior:
    return dataclasses.replace(prior, funded=1000 * E18)

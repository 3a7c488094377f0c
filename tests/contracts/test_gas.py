"""What the common calls cost, held to bounds; `-rP` prints the figures."""

from __future__ import annotations

import pytest

from tests.contracts.chain import GAS_LIMIT
from tests.contracts.worlds import TOKEN, World, batch

EIP_7825 = 2**24  # the most that one transaction may take on chains since Osaka


@pytest.fixture
def rich(world: World) -> World:
    world.give(world.alice, 10**6 * TOKEN)
    return world


def _report(what: str, gas: int) -> int:
    print(f"{what}: {gas}")
    return gas


def _fresh(count: int) -> list[str]:
    return [f"0x{2**100 + n:040x}" for n in range(count)]


def test_deposit_and_withdrawal_of_the_direct_pool(rich: World) -> None:
    pool = rich.pool()
    rich.give(rich.alice, 1, pool)
    first = pool.send(rich.alice, "deposit", TOKEN).gas_used
    again = pool.send(rich.alice, "deposit", TOKEN).gas_used
    back = pool.send(rich.alice, "withdraw", TOKEN // 2).gas_used
    assert _report("pool: first deposit", first) <= 110_000
    assert _report("pool: repeat deposit", again) <= 56_000
    assert _report("pool: withdrawal", back) <= 54_000


def test_deposit_and_withdrawal_of_the_vault(rich: World) -> None:
    risk = rich.risk()
    vault = rich.vault(risk)
    rich.give(rich.alice, 1, vault)
    first = vault.send(rich.alice, "deposit", TOKEN, rich.alice).gas_used
    again = vault.send(rich.alice, "deposit", TOKEN, rich.alice).gas_used
    back = vault.send(rich.alice, "withdraw", TOKEN // 2, rich.alice, rich.alice).gas_used
    queued = vault.send(rich.alice, "request_redeem", TOKEN, rich.alice, rich.alice).gas_used
    assert _report("vault: first deposit", first) <= 115_000
    assert _report("vault: repeat deposit", again) <= 60_000
    assert _report("vault: withdrawal", back) <= 60_000
    assert _report("vault: request", queued) <= 200_000
    risk.send(rich.owner, "set_limits", vault, (2**111, 2**111, 0, 0, 0))
    capped = vault.send(rich.alice, "deposit", TOKEN, rich.alice).gas_used
    assert _report("vault: repeat deposit with caps", capped) <= 63_500


@pytest.mark.parametrize("count", [400, 500])
def test_a_batch_of_payees_who_never_held_the_token(count: int, rich: World) -> None:
    payout = rich.payout()
    rich.give(rich.alice, 1, payout)
    payout.send(rich.alice, "fund", count * TOKEN)
    amounts = [TOKEN + n for n in range(count)]
    amounts[-1] = TOKEN - sum(range(count - 1))
    receipt = payout.send(rich.operator, "pay", batch(1), _fresh(count), amounts)
    assert len(receipt.named("Paid")) == count
    assert _report(f"payout: {count} new payees", receipt.gas_used) < GAS_LIMIT
    assert receipt.gas_used < EIP_7825


def test_a_batch_of_500_withdrawals_fits_a_block(rich: World) -> None:
    pool = rich.pool()
    rich.give(rich.alice, 1, pool)
    users = _fresh(500)
    for user in users:
        pool.send(rich.alice, "deposit_for", user, TOKEN)
    start = rich.chain.snapshot()
    for count in (400, 500):
        receipt = pool.send(
            rich.operator,
            "pay_withdrawals",
            batch(1),
            users[:count],
            [TOKEN // 2 + n for n in range(count)],
        )
        assert len(receipt.named("Withdrawn")) == count
        assert _report(f"pool: {count} withdrawals to new holders", receipt.gas_used) < GAS_LIMIT
        assert count == 500 or receipt.gas_used < EIP_7825
        rich.chain.revert(start)

"""Which payouts go together into one transaction, and who bears what. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millpond.mining.payouts.model import FeePolicy

_INPUT_VBYTES = 68
_OUTPUT_VBYTES = 34
_FRAME_VBYTES = 11
"""Sizes of a P2WPKH input, a P2PKH output (the larger) and the rest (BIP 141)."""


class Payable(msgspec.Struct, frozen=True):
    """A reserved payout, as the plan sees it; base units."""

    id: str
    address: str
    amount: int
    fee_policy: FeePolicy


class BatchPlan(msgspec.Struct, frozen=True):
    """One transaction to be.

    Attributes:
        fee_policy: Who pays its fee.
        payables: Its payouts, oldest first.
        outputs: Base units by address before the fee; payouts to one address are one output.
        fee_estimate: Fee at the rate that was assumed.
    """

    fee_policy: FeePolicy
    payables: tuple[Payable, ...]
    outputs: dict[str, int]
    fee_estimate: int

    @property
    def amount(self) -> int:
        """Sum of the outputs before the fee."""
        return sum(self.outputs.values())


class Plan(msgspec.Struct, frozen=True):
    """What a run would send.

    Attributes:
        batches: Transactions in order.
        waiting: Payouts that would leave only dust, with the reason.
    """

    batches: tuple[BatchPlan, ...]
    waiting: tuple[tuple[str, str], ...]


def plan_batches(payables: Sequence[Payable], *, max_payees: int, dust: int, fee_rate: int) -> Plan:
    """Put payouts together.

    Args:
        payables: Reserved payouts, oldest first.
        max_payees: Most outputs of one transaction.
        dust: Smallest output.
        fee_rate: Base units per 1,000 virtual bytes, for the estimate.

    Returns:
        Batches of one fee policy each, in order of age, and what has to wait.
    """
    assert max_payees >= 1, "a transaction pays somebody"
    batches: list[BatchPlan] = []
    waiting: list[tuple[str, str]] = []
    for policy in FeePolicy:
        group: list[Payable] = []
        for payable in payables:
            if payable.fee_policy is not policy:
                continue
            assert payable.amount > 0, "a payout pays something"
            if payable.amount - _worst_share(policy, fee_rate) < dust:
                waiting.append((payable.id, "what is left after the fee is too small to spend"))
                continue
            addresses = {other.address for other in group} | {payable.address}
            if len(addresses) > max_payees:
                batches.append(_batch(policy, group, fee_rate))
                group = []
            group.append(payable)
        if group:
            batches.append(_batch(policy, group, fee_rate))
    return Plan(tuple(batches), tuple(waiting))


def share_fee(fee: int, weights: Sequence[int]) -> list[int]:
    """Split a fee in proportion to weights by largest remainder; sums exactly.

    Equal remainders go to the earlier one.

    Args:
        fee: Base units, not negative.
        weights: More than zero each.
    """
    assert fee >= 0, "a fee is not negative"
    assert weights, "somebody bears the fee"
    assert all(weight > 0 for weight in weights), "everybody bears a part"
    whole = sum(weights)
    shares = [fee * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(fee * weights[i] % whole), i))
    for i in order[: fee - sum(shares)]:
        shares[i] += 1
    assert sum(shares) == fee, "no unit is lost"
    return shares


def merge_outputs(payables: Sequence[Payable]) -> dict[str, int]:
    """Base units by address, in the order in which addresses first appear."""
    outputs: dict[str, int] = {}
    for payable in payables:
        outputs[payable.address] = outputs.get(payable.address, 0) + payable.amount
    return outputs


def payee_fees(
    payables: Sequence[Payable], outputs: Sequence[tuple[str, int]], deducted: int
) -> dict[str, int]:
    """What each payout bears of the fee, from what its address really gets.

    The daemon charges every output the same and the first the odd units; a
    distribution that is not that one is refused. Payouts to one address share
    its part in proportion to their amounts by largest remainder.

    Args:
        payables: The payouts of the transaction.
        outputs: Address and base units of each payee's output.
        deducted: What the payees bear in sum.

    Raises:
        ValueError: The outputs are not what was asked less an even share.
    """
    asked = merge_outputs(payables)
    paid = dict(outputs)
    if len(paid) != len(outputs) or paid.keys() != asked.keys():
        raise ValueError("the outputs are not those that were asked for")
    even, odd = divmod(deducted, len(asked))
    fees: dict[str, int] = {}
    for address, amount in asked.items():
        charged = amount - paid[address]
        if not even <= charged <= even + odd:
            raise ValueError(f"{address} is charged {charged} of {deducted}")
        here = [payable for payable in payables if payable.address == address]
        shares = share_fee(charged, [payable.amount for payable in here])
        fees.update({payable.id: share for payable, share in zip(here, shares, strict=True)})
    if sum(fees.values()) != deducted:
        raise ValueError("the charges do not sum to the fee")
    return fees


def _worst_share(policy: FeePolicy, fee_rate: int) -> int:
    """Fee of a transaction that pays this one alone."""
    if policy is FeePolicy.POOL:
        return 0
    return _estimate(1, fee_rate)


def _estimate(payees: int, fee_rate: int) -> int:
    vbytes = _FRAME_VBYTES + _INPUT_VBYTES + (payees + 1) * _OUTPUT_VBYTES
    return -(-vbytes * fee_rate // 1000)


def _batch(policy: FeePolicy, payables: Sequence[Payable], fee_rate: int) -> BatchPlan:
    outputs = merge_outputs(payables)
    return BatchPlan(policy, tuple(payables), outputs, _estimate(len(outputs), fee_rate))

"""What gas is offered, and that nodes take every replacement that is made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.chains.evm.errors import (
    InsufficientFundsError,
    NonceTooLowError,
    PoolFullError,
    ReplacementUnderpricedError,
    RpcRejectedError,
    RpcTimeoutError,
)
from millpond.chains.evm.sending import NodeVerdict, SendResult, SendVerdict
from millpond.chains.evm.tx.access import Verdict
from millpond.chains.evm.tx.fees import Fees, Market, first_offer, replacement, takes_the_place
from millpond.chains.evm.tx.nodes import verdict_of
from millpond.chains.evm.tx.settings import TxSettings

GWEI = 10**9
SETTINGS = TxSettings(max_fee=300 * GWEI)
_fees = st.integers(0, 400 * GWEI)
_markets = st.builds(Market, _fees, _fees)


@given(market=_markets)
def test_a_first_offer_can_go_into_the_next_block_and_stays_under_the_cap(market: Market):
    offer = first_offer(market, SETTINGS)
    tip = min(max(market.priority_fee, SETTINGS.min_priority_fee), SETTINGS.max_priority_fee)
    if market.base_fee + tip > SETTINGS.max_fee:
        assert offer is None
    else:
        assert offer is not None
        assert market.base_fee + offer.max_priority_fee <= offer.max_fee <= SETTINGS.max_fee


@given(
    fee=st.integers(0, 300 * GWEI),
    tip=st.integers(0, 300 * GWEI),
    market=_markets,
    percent=st.integers(10, 100),
)
def test_a_replacement_is_taken_by_nodes_or_not_made(
    fee: int, tip: int, market: Market, percent: int
):
    old = Fees(max(fee, tip), min(fee, tip))
    settings = TxSettings(max_fee=300 * GWEI, bump_percent=percent)
    new = replacement(old, market, settings)
    least = Fees(
        max(old.max_fee + 1, -(-old.max_fee * 11 // 10)),
        max(old.max_priority_fee + 1, -(-old.max_priority_fee * 11 // 10)),
    )
    if new is None:
        # Then not even the least that nodes take is allowed.
        assert least.max_fee > settings.max_fee
    else:
        assert takes_the_place(old, new)
        assert new.max_fee <= settings.max_fee
        assert new.max_fee > old.max_fee
        assert new.max_priority_fee > old.max_priority_fee


def test_a_replacement_meets_the_market_in_one_step():
    new = replacement(Fees(2 * GWEI, GWEI), Market(100 * GWEI, 3 * GWEI), SETTINGS)
    assert new == Fees(203 * GWEI, 3 * GWEI)


def _result(*errors: object) -> SendResult:
    words = {None: SendVerdict.ACCEPTED, RpcTimeoutError: SendVerdict.UNKNOWN}
    verdicts = []
    for number, kind in enumerate(errors):
        error = None
        if isinstance(kind, type) and issubclass(kind, RpcRejectedError):
            error = kind("no", rpc_code=-32000, method="eth_sendRawTransaction")
        verdict = words.get(kind, SendVerdict.REJECTED)  # type: ignore[call-overload]
        verdicts.append(NodeVerdict(str(number), verdict, error))
    return SendResult("0x", tuple(verdicts))


def test_of_several_nodes_the_word_that_settles_least_is_taken():
    assert verdict_of(_result(RpcRejectedError, None)).verdict is Verdict.ACCEPTED
    assert verdict_of(_result(RpcRejectedError, RpcTimeoutError)).verdict is Verdict.UNKNOWN
    assert verdict_of(_result(RpcRejectedError)).verdict is Verdict.REFUSED
    assert verdict_of(_result(RpcRejectedError, PoolFullError)).verdict is Verdict.UNKNOWN
    assert verdict_of(_result(InsufficientFundsError, NonceTooLowError)).verdict is (
        Verdict.NONCE_TOO_LOW
    )
    assert verdict_of(_result(InsufficientFundsError, ReplacementUnderpricedError)).verdict is (
        Verdict.UNDERPRICED
    )

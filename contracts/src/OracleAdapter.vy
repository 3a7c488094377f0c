# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title OracleAdapter
@notice A price feed that reads like Chainlink's AggregatorV3 and is written by the operator.
        An answer outside the bounds, too far from the last one, too old or out of order is
        refused and never clamped: a feed that cannot tell the price falls silent, and its
        readers see it grow stale.
"""

from interfaces import IAggregatorV3
from modules import roles

implements: IAggregatorV3
initializes: roles
exports: roles.__interface__

struct Round:
    answer: int256
    started_at: uint256
    updated_at: uint256

event AnswerUpdated:
    current: indexed(int256)
    roundId: indexed(uint256)
    updatedAt: uint256

event RulesSet:
    min_answer: int256
    max_answer: int256
    max_deviation_bps: uint256
    min_interval: uint256
    heartbeat: uint256


# Bits of the pauses.
SUBMIT: constant(uint256) = 1
READ: constant(uint256) = 2

BPS: constant(int256) = 10_000
# No sum below overflows with answers up to here.
MAX_ANSWER: constant(int256) = 2**127 - 1

version: public(constant(uint256)) = 1
decimals: public(immutable(uint8))

description: public(String[64])
min_answer: public(int256)
max_answer: public(int256)
max_deviation_bps: public(uint256)  # from one answer to the next
min_interval: public(uint256)  # seconds between answers, so that small steps do not add up at once
heartbeat: public(uint256)  # seconds after which an answer is stale

_last: uint80
_rounds: HashMap[uint80, Round]


@deploy
def __init__(
    description: String[64],
    decimals_: uint8,
    min_answer: int256,
    max_answer: int256,
    owner: address,
    operator: address,
    guardian: address,
):
    assert decimals_ <= 18, "decimals"
    decimals = decimals_
    self.description = description
    roles.__init__(owner, operator, guardian, SUBMIT | READ, 0)
    self._set_rules(min_answer, max_answer, 1000, 60, 3600)


@external
def submit(answer: int256, observed_at: uint256):
    """
    @notice Write an answer; the operator alone may.
    @param answer The price in the feed's decimals.
    @param observed_at The unix second at which it was true.
    """
    roles._only_operator()
    roles._not_paused(SUBMIT)
    self._within(answer, observed_at)
    last: uint80 = self._last
    if last != 0:
        before: Round = self._rounds[last]
        assert observed_at > before.updated_at, "old"
        assert block.timestamp >= before.started_at + self.min_interval, "too soon"
        moved: int256 = abs(answer - before.answer)
        assert moved * BPS <= before.answer * convert(self.max_deviation_bps, int256), "deviation"
    self._write(answer, observed_at)


@external
def force(answer: int256, observed_at: uint256):
    """
    @notice Write an answer that the deviation rule refuses, after a real jump; the owner alone may.
    """
    roles._only_owner()
    self._within(answer, observed_at)
    self._write(answer, observed_at)


@external
def set_rules(
    min_answer: int256,
    max_answer: int256,
    max_deviation_bps: uint256,
    min_interval: uint256,
    heartbeat: uint256,
):
    """
    @notice Set what answers are taken; the owner alone may.
    """
    roles._only_owner()
    self._set_rules(min_answer, max_answer, max_deviation_bps, min_interval, heartbeat)


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice roundId, answer, startedAt, updatedAt, answeredInRound of the last answer.
    """
    return self._read(self._last)


@external
@view
def getRoundData(roundId: uint80) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice The same of an earlier answer.
    """
    return self._read(roundId)


@external
@view
def price_e18() -> uint256:
    """
    @notice The last answer with 18 decimals; refuses a stale one.
    """
    answer: Round = self._rounds[self._last]
    self._readable(answer)
    assert block.timestamp <= answer.updated_at + self.heartbeat, "stale"
    return convert(answer.answer, uint256) * 10 ** convert(18 - decimals, uint256)


@internal
@view
def _within(answer: int256, observed_at: uint256):
    assert self.min_answer <= answer and answer <= self.max_answer, "bounds"
    assert observed_at <= block.timestamp, "future"
    assert block.timestamp - observed_at <= self.heartbeat, "stale"


@internal
def _write(answer: int256, observed_at: uint256):
    self._last += 1
    self._rounds[self._last] = Round(
        answer=answer, started_at=block.timestamp, updated_at=observed_at
    )
    log AnswerUpdated(
        current=answer, roundId=convert(self._last, uint256), updatedAt=observed_at
    )


@internal
def _set_rules(
    min_answer: int256,
    max_answer: int256,
    max_deviation_bps: uint256,
    min_interval: uint256,
    heartbeat: uint256,
):
    assert 0 < min_answer and min_answer < max_answer, "bounds"
    assert max_answer <= MAX_ANSWER, "bounds"
    assert 0 < max_deviation_bps and max_deviation_bps <= 10_000, "deviation"
    assert 0 < heartbeat and heartbeat <= 30 * 86400, "heartbeat"
    self.min_answer = min_answer
    self.max_answer = max_answer
    self.max_deviation_bps = max_deviation_bps
    self.min_interval = min_interval
    self.heartbeat = heartbeat
    log RulesSet(
        min_answer=min_answer,
        max_answer=max_answer,
        max_deviation_bps=max_deviation_bps,
        min_interval=min_interval,
        heartbeat=heartbeat,
    )


@internal
@view
def _readable(answer: Round):
    assert answer.updated_at != 0, "no data"
    roles._not_paused(READ)


@internal
@view
def _read(round_id: uint80) -> (uint80, int256, uint256, uint256, uint80):
    answer: Round = self._rounds[round_id]
    self._readable(answer)
    return round_id, answer.answer, answer.started_at, answer.updated_at, round_id

# pragma version 0.4.3
# A feed that says what a test wants: AggregatorV3Interface, with or without a proxy's clamps.

struct Round:
    round_id: uint80
    answer: int256
    started: uint256
    updated: uint256
    answered_in: uint80

decimals: public(uint256)
description: public(String[64])
round: Round
reverting: bool
behind: address
has_clamps: bool
least: int192
most: int192

@external
def set_round(round_id: uint80, answer: int256, started: uint256, updated: uint256, answered_in: uint80):
    self.round = Round(round_id=round_id, answer=answer, started=started, updated=updated, answered_in=answered_in)

@external
def set_feed(decimals: uint256, description: String[64], reverting: bool):
    self.decimals = decimals
    self.description = description
    self.reverting = reverting

@external
def set_clamps(least: int192, most: int192):
    self.has_clamps = True
    self.least = least
    self.most = most

@external
def set_behind(behind: address):
    self.behind = behind

@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert not self.reverting
    r: Round = self.round
    return (r.round_id, r.answer, r.started, r.updated, r.answered_in)

@external
@view
def aggregator() -> address:
    assert self.behind != empty(address)
    return self.behind

@external
@view
def minAnswer() -> int192:
    assert self.has_clamps
    return self.least

@external
@view
def maxAnswer() -> int192:
    assert self.has_clamps
    return self.most

"""Reward schemes: who gets how much of a block, decided by pure functions.

A scheme looks at a window of shares, newest first, and splits a reward into
lines that sum to it exactly. Nothing here reads a clock, a file or a
database; every number is an integer or an exact fraction. The same functions
decide in production and in the audit. Promises: the lines sum to the reward,
rounded once; order and scale of the shares change nothing. See docs/rewards.md.
"""

from millpond.mining.rewards.allocation import Allocation, Line, LineKind
from millpond.mining.rewards.schemes import (
    Groups,
    Pplns,
    Pps,
    Prop,
    Scheme,
    Solo,
    YoungWindow,
    scheme_from,
)
from millpond.mining.rewards.settings import FeeOverride, FeeRules, RewardSettings
from millpond.mining.rewards.window import Reach, Window, WindowTaker, take_window

__all__ = [
    "Allocation",
    "FeeOverride",
    "FeeRules",
    "Groups",
    "Line",
    "LineKind",
    "Pplns",
    "Pps",
    "Prop",
    "Reach",
    "RewardSettings",
    "Scheme",
    "Solo",
    "Window",
    "WindowTaker",
    "YoungWindow",
    "scheme_from",
    "take_window",
]

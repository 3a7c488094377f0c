"""Millpond: the platform a pool operator runs.

Mining, staking and copy-trading pools stand on one kernel: a double-entry
ledger (`millpond.money`), intents for every effect on the outside world
(`millpond.intents`) and access to chains (`millpond.chains`).
`docs/architecture.md` draws the rooms and the way the data takes.
"""

__version__ = "0.1.0"

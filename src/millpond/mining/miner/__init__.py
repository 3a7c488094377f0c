"""The built-in CPU miner: a Stratum V1 client that any pool would take for a miner.

`run_miner` connects, works and reports until it is told to stop; the command
`millpond mine` and the part `miner` of `millpond up` are thin shells round it.
It shares the kernel of `millpond.mining.work` and nothing else with the pool.
Promises: it follows the pool's difficulty, jobs and extranonces as the dialect
says, and prints nothing that a pool could use to steer a terminal.
"""

from millpond.mining.miner.report import PlainReporter, Reporter, terminal_reporter
from millpond.mining.miner.run import run_miner
from millpond.mining.miner.settings import InvalidMinerSettingsError, MinerRun

__all__ = [
    "InvalidMinerSettingsError",
    "MinerRun",
    "PlainReporter",
    "Reporter",
    "run_miner",
    "terminal_reporter",
]

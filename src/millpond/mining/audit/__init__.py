"""Books against share log and chain: does everything say the same, to the unit?

Only reads; may look at every room of mining, the ledger and a daemon. Promises:
what cannot be looked up is `unknown`, never `ok`. Recomputes what was decided from what it was decided by: balances
from transfers, statistics from the share log, each block's split from its
window, and holds blocks, payouts and the wallet against what the daemon says.
"""

from millpond.mining.audit.run import AuditedCoin, AuditedPool, audit
from millpond.money.report import Report, Row, Verdict

__all__ = ["AuditedCoin", "AuditedPool", "Report", "Row", "Verdict", "audit"]

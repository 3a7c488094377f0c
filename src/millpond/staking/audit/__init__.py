"""Books of the staking pools against events, withdrawals and contracts, to the unit.

Only reads. Promises: what cannot be looked up is `unknown`, never `ok`; the
contracts are asked at the very block up to which the books go, so a running
pool is no reason for a difference.
"""

from millpond.staking.audit.run import audit_pool, audit_pools

__all__ = ["audit_pool", "audit_pools"]

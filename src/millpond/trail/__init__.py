"""What people with power did: who, what, when, before and after, in a hash chain.

Every administrative act is written here in the transaction that does it. May
touch the store and nothing else. Promises: entries are never edited or
deleted, and a changed, missing or reordered one is found.
"""

from millpond.trail.chain import Entry, Fault, entry_hash
from millpond.trail.service import Trail

__all__ = ["Entry", "Fault", "Trail", "entry_hash"]

"""Staking from end to end: a site put together as production does, and what is done to it."""

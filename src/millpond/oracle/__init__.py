"""Prices that decide about money: several sources, bounds, age, fallback.

Reads through sources that it is given. May touch the store, alerts and caches.
Promises: a price says its source, its age and whether it is degraded; no price
is ever invented.
"""

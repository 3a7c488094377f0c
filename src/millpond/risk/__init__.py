"""Limits, rates, pauses and circuit breakers, checked before every change of state.

One engine for all pools. A caller asks in the transaction of its reservation;
what is refused is written down as a violation. May touch the store, money, the
trail and alerts. Promises: what was refused changed nothing, and a pause never
holds principal back unless exits themselves are the reason.
"""

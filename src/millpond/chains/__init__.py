"""Access to chains: daemons, wallets, block news, and the embedded devchain.

May touch `millpond.money` (assets and amounts). Promises: a typed answer or a
typed error for every question; a time-out is an *unknown* outcome, never a
guess; a transaction is made, signed and named before anything is sent.
"""

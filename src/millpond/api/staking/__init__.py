"""Staking, as the API tells and does it: what is shown, what wallets may do, and for whom.

Reads the rooms of staking, risk and prices and writes through them; holds no
key and asks nodes only to try out what a user is about to sign. See docs/api.md.
"""

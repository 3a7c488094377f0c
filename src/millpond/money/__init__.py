"""Amounts and the double-entry ledger that every one of them lives in.

May touch `millpond.store` and nothing else of Millpond. Promises: amounts are
integers of an asset's base unit; a transfer moves one amount between two
accounts of one asset and is never edited or deleted; at every commit the
postings of an asset sum to zero and no liability account is below zero.
"""

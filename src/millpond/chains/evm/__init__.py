"""Access to EVM chains: nodes, contracts, signers, transactions.

Asks several nodes and believes none alone where money depends on it; signs,
stores, sends, follows and replaces transactions as intents. Promises: a
nonce is used for one thing, what is sent was stored before, and nodes that
contradict each other are an error.
"""

"""An Ethereum chain in one process, for demos and tests.

Blocks, transactions, receipts, tries and the virtual machine are the real ones
(py-evm, rules of the Prague fork); what is missing is a network and a consensus.
It speaks the JSON-RPC of a node over HTTP, with the errors of go-ethereum, so
the product reaches it through the same client as a real node; nothing of the
product imports it. Promises: what was answered is on disk; reorganisations are
real (blocks, receipts, logs and balances follow); one behaviour suite holds it
against anvil and hardhat's node. See docs/devevm.md.
"""

"""A tiny but real chain in one process, for demos and tests.

Headers carry real proof of work, transactions real signatures; reorganisations
are won by work. It speaks the same JSON-RPC over HTTP as a Bitcoin-family
daemon, so the product reaches it through the same client. Faults are injected
by `dev_*` methods. Uses the formats of `millpond.chains.bitcoin`; nothing of the
product imports it. Promises: what was answered is on disk; one behaviour suite
holds it against a real daemon. See docs/devchain.md.
"""

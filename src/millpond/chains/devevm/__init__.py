"""An embedded EVM chain behind JSON-RPC, for trying the product and for tests.

The product knows it as any other node. Promises: it answers as real nodes do
for every method that Millpond uses, and keeps its chain over a restart.
"""

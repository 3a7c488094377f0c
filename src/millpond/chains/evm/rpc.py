"""One EVM node over JSON-RPC."""

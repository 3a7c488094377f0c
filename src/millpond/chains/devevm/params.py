"""Rules and bounds of a devevm, and the accounts that its genesis block pays."""

from __future__ import annotations

import msgspec

ETHER = 10**18

# Of the mnemonic that all development nodes use ("test test test test test test
# test test test test test junk", m/44'/60'/0'/0/n). Their keys are known to
# everybody; see docs/devevm.md.
DEV_ACCOUNTS = (
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
    "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
    "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
    "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
)

DEV_KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
)
"""Keys of the first of these accounts: play money, for the demo."""


class DevevmParams(msgspec.Struct, frozen=True, kw_only=True):
    """How a devevm behaves."""

    chain_id: int = 31_337
    """EIP-155 identity; a data directory keeps the one it was made with."""

    gas_limit: int = 30_000_000
    """Gas of a block, and the most that one simulated call may burn."""

    base_fee_wei: int = 10**9
    """Of the genesis block; later ones follow EIP-1559."""

    block_time_s: float | None = None
    """Seconds between blocks, empty ones too; None: a block for each transaction."""

    accounts: tuple[str, ...] = DEV_ACCOUNTS
    """Who has money from the start."""

    account_wei: int = 10_000 * ETHER
    """How much each of them has."""

    mempool_size: int = 4_096
    """Transactions that may wait."""

    mempool_per_sender: int = 1_024
    """Of these, from one sender."""

    replacement_percent: int = 10
    """How much dearer a transaction with a used nonce must be, on both fees."""

    max_log_range: int = 10_000
    """Blocks that one `eth_getLogs` may ask for."""

    max_logs: int = 10_000
    """Logs that one `eth_getLogs` may answer."""

    max_snapshots: int = 1_024
    """States to go back to; the oldest is forgotten first."""

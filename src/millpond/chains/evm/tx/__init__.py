"""The transaction manager: intents that take effect on an EVM chain, once.

A signer has one queue whose nonces are in the database; a transaction is
signed and stored before it is sent, followed through reorganisations,
replaced when it is stuck, and final a number of blocks deep. May touch the
store, intents and alerts. See docs/evm-transactions.md.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.chains.evm.tx.access import (
        Call,
        CallRevertedError,
        ChainAccess,
        Head,
        SendAnswer,
        Verdict,
    )
    from millpond.chains.evm.tx.fees import Market
    from millpond.chains.evm.tx.handler import EvmEffect, EvmTransactionHandler
    from millpond.chains.evm.tx.keeper import Keeper
    from millpond.chains.evm.tx.model import lane_of, lanes_of_chain
    from millpond.chains.evm.tx.nodes import NodesAccess
    from millpond.chains.evm.tx.settings import TxSettings
    from millpond.chains.evm.tx.transactions import Transactions
    from millpond.chains.evm.types import Receipt
else:
    __getattr__ = lazily(
        __name__,
        {
            "access": (
                "Call",
                "CallRevertedError",
                "ChainAccess",
                "Head",
                "SendAnswer",
                "Verdict",
                "Receipt",
            ),
            "fees": ("Market",),
            "handler": ("EvmEffect", "EvmTransactionHandler"),
            "keeper": ("Keeper",),
            "model": ("lane_of", "lanes_of_chain"),
            "nodes": ("NodesAccess",),
            "settings": ("TxSettings",),
            "transactions": ("Transactions",),
        },
    )

__all__ = [
    "Call",
    "CallRevertedError",
    "ChainAccess",
    "EvmEffect",
    "EvmTransactionHandler",
    "Head",
    "Keeper",
    "Market",
    "NodesAccess",
    "Receipt",
    "SendAnswer",
    "Transactions",
    "TxSettings",
    "Verdict",
    "lane_of",
    "lanes_of_chain",
]

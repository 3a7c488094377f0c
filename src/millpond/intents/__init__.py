"""Effects on the outside world, each exactly once or visibly waiting for a person.

An intent is one row with a unique business key. It is written in the same
transaction as the ledger's reservation; the thing to send is made, signed and
stored with its identity before it is sent; whether it happened is always a
look-up. May touch `millpond.store`, and nothing of any pool: what an intent
does is its `Handler`'s business. Promises: the bytes that are sent are the
bytes that were stored; only one intent of a lane is between prepare and sent;
a worker whose lease was taken over writes nothing; money moves in the same
transaction as the state. See docs/intents.md.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.intents.handler import (
        Accepted,
        Confirmed,
        Conflicted,
        FreezeError,
        Handler,
        NotFound,
        NotReadyError,
        Pending,
        Prepared,
        RefusedError,
        Rejected,
        Unknown,
    )
    from millpond.intents.model import Intent, IntentEvent, IntentState, Policy
    from millpond.intents.operator import Operator
    from millpond.intents.runner import Runner
    from millpond.intents.service import Intents
else:
    __getattr__ = lazily(
        __name__,
        {
            "handler": (
                "Accepted",
                "Confirmed",
                "Conflicted",
                "FreezeError",
                "Handler",
                "NotFound",
                "NotReadyError",
                "Pending",
                "Prepared",
                "RefusedError",
                "Rejected",
                "Unknown",
            ),
            "model": ("Intent", "IntentEvent", "IntentState", "Policy"),
            "operator": ("Operator",),
            "runner": ("Runner",),
            "service": ("Intents",),
        },
    )

__all__ = [
    "Accepted",
    "Confirmed",
    "Conflicted",
    "FreezeError",
    "Handler",
    "Intent",
    "IntentEvent",
    "IntentState",
    "Intents",
    "NotFound",
    "NotReadyError",
    "Operator",
    "Pending",
    "Policy",
    "Prepared",
    "RefusedError",
    "Rejected",
    "Runner",
    "Unknown",
]

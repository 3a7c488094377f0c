"""Contradictions between nodes as alerts."""

from __future__ import annotations

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.pool import Equivocation, OnEquivocation
from millpond.store import Store

KIND = "evm_equivocation"


def alert_of_contradictions(store: Store, alerts: Alerts) -> OnEquivocation:
    """For `Nodes(on_equivocation=…)`: one alert a chain, in a transaction of its own.

    It is not cleared by itself: a node that has lied once is looked at by a person.
    """

    async def raise_alert(found: Equivocation) -> None:
        async with store.begin() as tx:
            await alerts.raise_(
                tx,
                KIND,
                f"chain {found.chain_id}",
                Severity.CRITICAL,
                f"Nodes of chain {found.chain_id} contradict each other about {found.subject[:300]}",
                {"subject": found.subject, "answers": found.answers},
            )

    return raise_alert

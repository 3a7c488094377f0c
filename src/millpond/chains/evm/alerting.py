"""What a person should know of a chain's nodes, as alerts: contradictions and silence."""

from __future__ import annotations

from millpond.alerts import Alerts, Severity
from millpond.chains.evm.nodes import Nodes
from millpond.chains.evm.pool import Equivocation, OnEquivocation
from millpond.clock import Clock
from millpond.store import Store, Tx

KIND = "evm_equivocation"
SILENT = "evm_nodes_silent"


def _subject(chain_id: int) -> str:
    return f"chain {chain_id}"


def alert_of_contradictions(store: Store, alerts: Alerts) -> OnEquivocation:
    """For `Nodes(on_equivocation=…)`: one alert a chain, in a transaction of its own.

    It is not cleared by itself: a node that has lied once is looked at by a person.
    """

    async def raise_alert(found: Equivocation) -> None:
        async with store.begin() as tx:
            await alerts.raise_(
                tx,
                KIND,
                _subject(found.chain_id),
                Severity.CRITICAL,
                f"Nodes of chain {found.chain_id} contradict each other about {found.subject[:300]}",
                {"subject": found.subject, "answers": found.answers},
            )

    return raise_alert


async def silent_since(tx: Tx, chain_id: int) -> int | None:
    """Since when a chain has too few nodes that answer, Unix ms; None: it has enough."""
    found = await Alerts.find_open(tx, SILENT, _subject(chain_id))
    return None if found is None else found.first_ms


class SilenceWatch:
    """Checks a chain's nodes, and alerts while fewer than the quorum answer.

    Short silences are everyday; after `NodesSettings.silent_after_s` one is an
    alert, told again as often, and cleared by the first check that finds enough.

    Args:
        nodes: The nodes of the chain.
        store: Where the alert goes, in transactions of its own.
        alerts: The alerts.
        clock: How long it lasts.
    """

    def __init__(self, nodes: Nodes, store: Store, alerts: Alerts, clock: Clock) -> None:
        self._nodes = nodes
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._told_ns: int | None = None
        # An alert of the process before this one may be open.
        self._may_be_open = True

    async def check(self) -> None:
        """Ask every node how it is, and tell.

        Raises:
            EquivocationError: They contradict each other.
        """
        try:
            await self._nodes.check()
        finally:
            await self._tell()

    async def _tell(self) -> None:
        answering = sum(node.usable and node.healthy for node in self._nodes.health())
        if answering >= self._nodes.settings.quorum:
            await self._heard()
            return
        now_ns = self._clock.monotonic_ns()
        if self._told_ns is None:
            self._told_ns = now_ns
        elif now_ns - self._told_ns >= self._nodes.settings.silent_after_s * 1e9:
            await self._silent(answering)
            self._told_ns = now_ns

    async def _heard(self) -> None:
        self._told_ns = None
        if self._may_be_open:
            async with self._store.begin() as tx:
                await self._alerts.clear(tx, SILENT, _subject(self._nodes.chain_id))
            self._may_be_open = False

    async def _silent(self, answering: int) -> None:
        chain_id, quorum = self._nodes.chain_id, self._nodes.settings.quorum
        self._may_be_open = True
        async with self._store.begin() as tx:
            await self._alerts.raise_(
                tx,
                SILENT,
                _subject(chain_id),
                Severity.CRITICAL,
                f"{answering} of the {quorum} nodes that chain {chain_id} needs answer;"
                " until more do, nothing of it is read, sent or paid",
                {node.name: node.reason for node in self._nodes.health()},
            )

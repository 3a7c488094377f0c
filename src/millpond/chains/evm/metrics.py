"""What the nodes of a chain do, for Prometheus; read from plain counters when asked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from millpond.chains.evm.health import NodeHealth
from millpond.chains.evm.nodes import Nodes

_LABELS = ("chain", "node")


class NodesCollector(Collector):
    """Register it with a `CollectorRegistry`; a node is named without its key."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    def collect(self) -> Iterable[Metric]:
        """Every figure, labelled with chain and node."""
        nodes = self._nodes
        chain = str(nodes.chain_id)
        gauges = {
            name: GaugeMetricFamily(f"millpond_evm_node_{name}", text, labels=_LABELS)
            for name, text in (
                ("usable", "1 if the node may be asked and is not behind."),
                ("head_block", "Its newest block at the last check; -1 before."),
                ("latency_seconds", "Duration of the last check."),
            )
        }
        counters = {
            name: CounterMetricFamily(f"millpond_evm_node_{name}", text, labels=_LABELS)
            for name, text in (
                ("answers", "Answers that were good."),
                ("failures", "Answers that were bad, or did not come."),
                ("rate_limits", "Times that the node asked to be left alone."),
            )
        }
        for health in nodes.health():
            for name, value in _gauges(health).items():
                gauges[name].add_metric((chain, health.name), value)
            for name, count in _counters(health).items():
                counters[name].add_metric((chain, health.name), count)
        yield from gauges.values()
        yield from counters.values()
        contradictions = CounterMetricFamily(
            "millpond_evm_contradictions",
            "Times that nodes contradicted each other about what cannot change.",
            labels=["chain"],
        )
        contradictions.add_metric([chain], nodes.pool.contradictions)
        yield contradictions


def _gauges(health: NodeHealth) -> dict[str, float]:
    return {
        "usable": float(health.usable and health.healthy and not health.lagging),
        "head_block": -1 if health.head is None else health.head,
        "latency_seconds": health.latency_ns / 1e9,
    }


def _counters(health: NodeHealth) -> dict[str, int]:
    return {
        "answers": health.answers,
        "failures": health.failures,
        "rate_limits": health.rate_limits,
    }

"""The edge's figures for Prometheus, read from plain counters when asked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from millpond.mining.edge.service import Edge


class EdgeCollector(Collector):
    """Register it with a `CollectorRegistry`; the hot path knows nothing of it."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def collect(self) -> Iterable[Metric]:
        """Every figure of the edge, labelled with pool and edge."""
        edge = self._edge
        names = [edge.settings.pool_id, edge.settings.edge]
        for name, text, value in self._gauges():
            gauge = GaugeMetricFamily(f"millpond_edge_{name}", text, labels=["pool", "edge"])
            gauge.add_metric(names, value)
            yield gauge
        for name, text, count in self._counters():
            counter = CounterMetricFamily(f"millpond_edge_{name}", text, labels=["pool", "edge"])
            counter.add_metric(names, count)
            yield counter
        rejects = CounterMetricFamily(
            "millpond_edge_rejected_shares",
            "Shares refused, by reason.",
            labels=["pool", "edge", "reason"],
        )
        for reason, count in edge.server.stats.rejected.items():
            rejects.add_metric([*names, reason], count)
        yield rejects

    def _gauges(self) -> list[tuple[str, str, float]]:
        edge = self._edge
        age = edge.feed.age_s
        return [
            ("connections", "Open connections.", edge.server.connections),
            ("ready", "1 if miners can mine.", float(not edge.not_ready())),
            ("log_available", "1 if shares can be stored.", float(edge.writer.available)),
            ("log_waiting_shares", "Shares in the open group.", edge.writer.waiting),
            ("log_commit_seconds", "Duration of the last commit.", edge.writer.commit_ns / 1e9),
            ("template_age_seconds", "Age of the template.", -1.0 if age is None else age),
            ("template_seconds", "Fetch to job, last time.", edge.feed.template_ns / 1e9),
            (
                "notify_seconds",
                "First to last miner told, last time.",
                edge.server.stats.last_notify_ns / 1e9,
            ),
        ]

    def _counters(self) -> list[tuple[str, str, int]]:
        edge = self._edge
        stats = edge.server.stats
        return [
            ("accepted_shares", "Shares stored and acknowledged.", stats.accepted),
            ("unanswered_shares", "Valid shares that could not be stored.", stats.unanswered),
            ("malformed_lines", "Lines that were no requests.", stats.malformed),
            ("opened_connections", "Connections admitted.", stats.opened),
            ("refused_connections", "Connections turned away.", stats.refused_connections),
            ("refused_logins", "Authorizations refused.", stats.refused_logins),
            ("slow_readers", "Miners cut off because they stopped reading.", stats.slow_readers),
            ("bans", "Addresses turned away for a while.", stats.banned),
            ("log_groups", "Groups stored.", edge.writer.commits),
            ("log_failures", "Commits that failed.", edge.writer.failures),
            ("template_failures", "Templates that could not be had.", edge.feed.failures),
            ("found_blocks", "Blocks found.", edge.blocks.found),
            ("accepted_blocks", "Blocks accepted by a daemon.", edge.blocks.accepted),
            ("rejected_blocks", "Blocks refused by the daemons.", edge.blocks.rejected),
        ]

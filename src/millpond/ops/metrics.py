"""Metrics of all processes in one Prometheus page.

Each part counts in its own registry and writes it beside its heartbeat; the
page is those files put together, every sample with the label `part`
(docs/decisions/0061-metrics-by-file.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from millpond.clock import Clock
from millpond.ops.heartbeat import STALE_MS, read_heartbeats

CONTENT_TYPE = CONTENT_TYPE_LATEST


class PartMetrics:
    """The registries of one part: the process's own, and one for each pool in it."""

    def __init__(self) -> None:
        self._registries = [REGISTRY]

    def registry(self) -> CollectorRegistry:
        """A further registry, for figures whose names another pool's have too."""
        made = CollectorRegistry()
        self._registries.append(made)
        return made

    def text(self) -> bytes:
        """All figures in the text format."""
        return b"".join(generate_latest(registry) for registry in self._registries)


class _Gathered:
    """A registry in the eyes of the encoder."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def gather(run_path: Path, clock: Clock) -> bytes:
    """The metrics of every part whose heartbeat is fresh, plus `millpond_part_up`."""
    families: dict[str, Metric] = {}
    up = Metric("millpond_part_up", "1 if the part's heartbeat is fresh.", "gauge")
    now_ms = clock.now_ms()
    for beat in read_heartbeats(run_path):
        fresh = now_ms - beat.at_ms <= STALE_MS
        up.add_sample("millpond_part_up", {"part": beat.part}, float(fresh))
        if fresh:
            with contextlib.suppress(OSError):
                _add(families, beat.part, (run_path / f"{beat.part}.prom").read_text())
    encoder, _ = choose_encoder("text/plain")
    body: bytes = encoder(_Gathered([up, *families.values()]))
    return body


def _add(families: dict[str, Metric], part: str, text: str) -> None:
    for family in text_string_to_metric_families(text):
        known = families.setdefault(
            family.name, Metric(family.name, family.documentation, family.type)
        )
        for sample in family.samples:
            labels = {**sample.labels, "part": part}
            known.samples.append(sample._replace(labels=labels))

"""Run benchmarks: `python -m bench [names…] [--quick]`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

import bench
from millpond.ops.process import collect_less_often

Run = Callable[[bool], Iterable[dict[str, Any]]]


def discover() -> dict[str, Run]:
    """The benchmarks of this package by name."""
    found: dict[str, Run] = {}
    for module in pkgutil.iter_modules(bench.__path__):
        if not module.name.startswith("_"):
            run = getattr(importlib.import_module(f"bench.{module.name}"), "run", None)
            if run is not None:
                found[module.name] = run
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all, and print one JSON line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all if none is named")
    parser.add_argument("--quick", action="store_true", help="short runs")
    options = parser.parse_args(arguments)
    benchmarks = discover()
    unknown = set(options.names) - benchmarks.keys()
    if unknown:
        parser.error(f"no benchmark {sorted(unknown)}; known are {sorted(benchmarks)}")
    # Standard output is for the figures alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    for name in options.names or sorted(benchmarks):
        started = time.perf_counter()
        for figure in benchmarks[name](options.quick):
            print(json.dumps({"bench": name, **figure, **machine}), flush=True)
        took = round(time.perf_counter() - started, 1)
        print(f"{name}: {took} s", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    collect_less_often()  # as the product's processes do
    sys.exit(main())

"""Benchmarks of the hot paths; `python -m bench` prints JSON lines."""

"""Benchmarks of the hot paths; `python -m bench` prints JSON lines.

A module of this package that has a function `run(quick: bool) ->
Iterable[dict]` is a benchmark of that name. Each dict is one figure:
`{"figure": …, "value": number, "unit": …}` and whatever says under which
conditions it was taken. `quick` asks for a short run that shows that the
benchmark works.
"""

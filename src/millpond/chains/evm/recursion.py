"""Imports that must not loosen the interpreter's guard against deep recursion.

`py_ecc` (which `eth-keyfile` and `eth-account` import) sets the recursion limit
to 100,000. With that, a hundred kilobytes of opening brackets from anybody no
longer end in `RecursionError` but overflow the C stack of the JSON decoder and
kill the process. So these libraries are imported inside `recursion_limit_kept`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_limit_kept() -> Iterator[None]:
    """Put the recursion limit back to what it was before the block."""
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)

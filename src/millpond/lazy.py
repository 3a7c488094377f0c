"""Names that a package shows, loaded when somebody asks for them (PEP 562).

Importing one file of a package, such as its settings, then does not load all the
others. The imports for type checkers stand beside in the package: they are what the
arrows between rooms are held to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazily(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """Make a package's `__getattr__`.

    Args:
        package: Name of the package.
        homes: By file of the package, the names that it has for the package to show.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def load(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home}"), name)
        # The next one who asks finds it in the package itself.
        setattr(sys.modules[package], name, value)
        return value

    return load

"""What can be wrong with a configuration, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millpond.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one setting.

    Attributes:
        path: The setting, as in `pools[0].fee_bps`; empty for the whole file.
        message: What is wrong and, where it can be known, what to write instead.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(InvalidInputError):
    """The configuration has faults; every one of them is named."""

    code = "invalid_configuration"

    def __init__(self, faults: Sequence[Fault], source: str = "") -> None:
        assert faults, "a faulty configuration has faults"
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        where = f" in {source}" if source else ""
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{count} in the configuration{where}{lines}")
        self.faults = tuple(faults)

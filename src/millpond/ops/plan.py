"""Which parts run, on which ports, in which order: decided before anything starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from millpond.ops.config import Config
from millpond.ops.process import next_free_port
from millpond.ops.supervisor import PartPlan, Say

NEEDS: dict[str, tuple[str, ...]] = {
    "devchain": (),
    "devevm": (),
    "worker": ("devchain",),
    "edge": ("devchain",),
    "chains": ("devevm",),
    "api": ("devchain",),
    "miner": ("edge",),
}
# The miner goes first, so that nothing is sent to an edge that is going; the
# edge next, so that the worker can still fold what it committed last; the
# chain last, because all others talk to it.
STOP_RANK = {"miner": 0, "edge": 1, "worker": 2, "chains": 2, "api": 2, "devchain": 3, "devevm": 3}


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that were found free; those for Stratum by pool."""

    http: int
    stratum: tuple[tuple[int, ...], ...]
    devchain: int
    devevm: int

    def environment(self, config: Config) -> dict[str, str]:
        """The same as settings for the parts."""
        return {
            "MILLPOND__HTTP__PORT": str(self.http),
            **self._stratum_ports(),
            **self._own_ports(config),
            "MILLPOND__DEVCHAIN__PORT": str(self.devchain),
            "MILLPOND__DEVEVM__PORT": str(self.devevm),
        }

    def _stratum_ports(self) -> dict[str, str]:
        if not self.stratum:
            return {}
        return {"MILLPOND__STRATUM__PORTS": str([ports[0] for ports in self.stratum])}

    def _own_ports(self, config: Config) -> dict[str, str]:
        """The ports of the pools that name theirs."""
        return {
            f"MILLPOND__POOLS__{at}__PORTS__{number}__PORT": str(port)
            for at, (pool, ports) in enumerate(zip(config.the_pools, self.stratum, strict=True))
            if pool.ports
            for number, port in enumerate(ports)
        }


def parts_for(config: Config) -> tuple[str, ...]:
    """Names of the parts to start, in the order of starting."""
    named = config.supervisor.parts
    if named:
        return tuple(name for name in NEEDS if name in named)
    chosen = ["worker", "edge", "api"] if config.mines else ["api"]
    if config.uses_devchain:
        chosen.insert(0, "devchain")
    if config.uses_devevm:
        chosen.insert(0, "devevm")
    if config.the_chains:
        chosen.append("chains")
    if config.miner_enabled:
        chosen.append("miner")
    return tuple(chosen)


def plan_parts(names: tuple[str, ...], config_path: Path | None) -> list[PartPlan]:
    """How the supervisor starts and stops each of `names`."""
    config = ("--config", str(config_path.absolute())) if config_path else ()
    return [
        PartPlan(
            name=name,
            command=(sys.executable, "-m", "millpond", name, *config),
            needs=NEEDS[name],
            stop_rank=STOP_RANK[name],
        )
        for name in names
    ]


def choose_ports(config: Config, say: Say) -> Ports:
    """The ports as set, or the next free ones, with a word about each change.

    Raises:
        UnavailableError: No port near the one set is free.
    """
    taken: set[int] = set()

    def choose(what: str, host: str, wanted: int) -> int:
        port = next_free_port(host, wanted, taken)
        taken.add(port)
        if wanted not in (0, port):
            say(f"ports     {wanted} for {what} is taken; using {port}")
        return port

    return Ports(
        http=choose("pages", config.http.host, config.http.port),
        stratum=tuple(
            tuple(
                choose(f"the miners of {pool.id}", one.host, one.port)
                for one in config.listeners(index)
            )
            for index, pool in enumerate(config.the_pools)
        ),
        devchain=choose("the devchain", config.devchain.host, config.devchain.port)
        if config.uses_devchain
        else config.devchain.port,
        devevm=choose("the devevm", config.devevm.host, config.devevm.port)
        if config.uses_devevm
        else config.devevm.port,
    )

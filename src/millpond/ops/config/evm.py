"""The settings of EVM chains, of the keys that act on them, and of the embedded one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.tx.settings import TxSettings

_Port = Annotated[int, Meta(ge=0, le=65535)]
_Secret = Meta(extra={"secret": True})

DEVEVM = "devevm"
"""Name of the embedded EVM chain."""


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs transactions.

    Attributes:
        file: Encrypted key file (Web3 Secret Storage, version 3).
        unlock: Where its password is: `env:NAME` or `file:PATH`.
        address: What its address must be; empty takes any.
    """

    file: str
    unlock: str
    address: str = ""


class EvmChainSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One EVM chain and how it is reached.

    Attributes:
        name: Short name, for commands and logs.
        chain_id: Its number (EIP-155).
        urls: JSON-RPC addresses of its nodes, the preferred first. They may hold
            an access key and are never shown.
        keys: Keys that this machine has on the chain; the first one is used
            where no other is named.
        nodes: How the nodes are asked and watched.
        tx: How transactions are paid for and followed.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    chain_id: Annotated[int, Meta(ge=1)]
    urls: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16), _Secret]
    keys: tuple[KeySettings, ...] = ()
    nodes: NodesSettings = NodesSettings()
    tx: TxSettings = TxSettings()


class DevevmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The embedded EVM chain, with a pool of each kind and two stakers, for a first look.

    Attributes:
        enabled: `auto` runs it when no EVM chain and no coin daemon is named.
        host: Address that its JSON-RPC listens on.
        port: Port of the same; the next free one if it is taken.
        chain_id: Its number; a data directory keeps what it was made with.
        block_time_s: Time between two blocks.
    """

    enabled: Literal["auto", "yes", "no"] = "auto"
    host: str = "127.0.0.1"
    port: _Port = 18545
    chain_id: Annotated[int, Meta(ge=1)] = 31_337
    block_time_s: Annotated[float, Meta(gt=0, le=600)] = 1.0

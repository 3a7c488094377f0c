"""Checks of the EVM chains: nodes reachable and of the right chain, keys that open, gas money."""

from __future__ import annotations

from collections.abc import AsyncIterator

from millpond.chains.evm.errors import RpcError
from millpond.chains.evm.hexes import quantity
from millpond.chains.evm.keystore import KeystoreError
from millpond.chains.evm.rpc import RpcEndpoint
from millpond.chains.evm.signers import Signer
from millpond.ops.config.evm import EvmChainSettings
from millpond.ops.doctor.findings import Finding, fault, ok, warning
from millpond.ops.evm import open_signers

_MAX_TIMEOUT_S = 10.0


async def chain(settings: EvmChainSettings, least_gas_wei: int) -> AsyncIterator[Finding]:
    """Everything about one EVM chain; access keys in addresses are not shown."""
    subject = f"chain {settings.name}"
    answering: RpcEndpoint | None = None
    timeout_s = min(settings.nodes.timeout_s, _MAX_TIMEOUT_S)
    endpoints = [RpcEndpoint(url, timeout_s=timeout_s) for url in settings.urls]
    try:
        well = 0
        for endpoint in endpoints:
            finding = await _node(f"{subject} node {endpoint.name}", endpoint, settings.chain_id)
            yield finding
            if finding.level == "ok":
                well += 1
                answering = answering or endpoint
        if well < settings.nodes.quorum:
            mend = "mend the nodes above, or name more in evm.urls"
            yield fault(subject, f"{well} nodes answer; {settings.nodes.quorum} must agree", mend)
        if settings.nodes.quorum == 1:
            mend = "name three nodes in evm.urls and set evm.nodes.quorum to 2"
            yield warning(subject, "money is decided on the word of one node", mend)
        try:
            signers = open_signers(settings)
        except KeystoreError as error:
            yield fault(subject, error.message, "mend evm.keys: file, unlock, address")
            return
        if answering is not None:
            for signer in signers:
                yield await _gas(subject, answering, signer, least_gas_wei)
    finally:
        for endpoint in endpoints:
            await endpoint.close()


async def _node(subject: str, endpoint: RpcEndpoint, chain_id: int) -> Finding:
    try:
        found = quantity(await endpoint.call("eth_chainId"))
        head = quantity(await endpoint.call("eth_blockNumber"))
    except RpcError as error:
        return fault(subject, error.message, "start the node, or mend evm.urls")
    if found != chain_id:
        return fault(subject, f"serves chain {found}, not {chain_id}", "mend evm.chain_id or urls")
    return ok(subject, f"answers at block {head}")


async def _gas(subject: str, node: RpcEndpoint, signer: Signer, least_wei: int) -> Finding:
    try:
        held = quantity(await node.call("eth_getBalance", [signer.address, "latest"]))
    except RpcError as error:
        return fault(subject, error.message, "start the node, or mend evm.urls")
    if held < least_wei:
        return warning(
            subject,
            f"{signer.address} holds {held} wei for gas",
            f"send it at least {least_wei} wei",
        )
    return ok(subject, f"{signer.address} has gas money")

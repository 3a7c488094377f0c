"""The part `devevm`: the embedded EVM chain behind its JSON-RPC."""

from __future__ import annotations

from millpond.chains.devevm.params import DevevmParams
from millpond.chains.devevm.server import DevevmServer
from millpond.ops.part import PartContext


async def run(context: PartContext) -> None:
    """Serve the chain until told to stop."""
    settings = context.config.devevm
    server = DevevmServer(
        DevevmParams(chain_id=settings.chain_id, block_time_s=settings.block_time_s),
        context.clock,
        context.entropy,
        datadir=context.config.data_path / "devevm",
        host=settings.host,
        port=settings.port,
    )
    async with server:
        context.pulse.say("ready", f"{server.url} at block {server.chain.height}")
        await server.serve_until(context.stop)

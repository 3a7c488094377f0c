"""The part `devchain`: the embedded chain behind its JSON-RPC."""

from __future__ import annotations

from millpond.chains.coins import coin_named
from millpond.chains.devchain.params import DevParams, demo_params
from millpond.chains.devchain.server import DevchainServer
from millpond.ops.config import Config
from millpond.ops.config.settings import DEVCHAIN_LOGIN
from millpond.ops.part import PartContext


async def run(context: PartContext) -> None:
    """Serve the chain until told to stop."""
    settings = context.config.devchain
    server = DevchainServer(
        _params(context.config),
        context.clock,
        context.entropy,
        datadir=context.config.data_path / "devchain",
        host=settings.host,
        port=settings.port,
        user=DEVCHAIN_LOGIN,
        password=DEVCHAIN_LOGIN,
    )
    async with server:
        height = server.chain.tip.height
        context.pulse.say("ready", f"{server.url} at height {height}")
        await context.stop.wait()


def _params(config: Config) -> DevParams:
    coin = coin_named(config.the_pools[0].coin)
    devchain = config.devchain
    return demo_params(coin, block_time_s=devchain.block_time_s, retarget=devchain.retarget)

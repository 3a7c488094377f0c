"""The part `miner`: the built-in CPU miner, gently, against our own edge."""

from __future__ import annotations

import os

import msgspec
import structlog
from coincurve import PrivateKey

from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.coins import Coin, coin_named
from millpond.clock import Entropy
from millpond.errors import UnavailableError
from millpond.mining.miner import MinerRun, run_miner
from millpond.mining.miner.report import Progress, hashrate_text
from millpond.ops.config import Config
from millpond.ops.part import PartContext
from millpond.ops.process import reachable_host

_WORKER = "builtin"


class DemoWallet(msgspec.Struct, frozen=True, kw_only=True):
    """The demo miner's own key, so that its payouts leave the pool's wallet.

    Attributes:
        address: Where it is paid.
        private_key: In hexadecimal digits; play money of the devchain.
    """

    address: str
    private_key: str


async def run(context: PartContext) -> None:
    """Mine until told to stop."""
    config = context.config
    pool = config.the_pools[0]
    coin = coin_named(pool.coin)
    wallet = config.miner.wallet or demo_wallet(config, coin, context.entropy).address
    host = reachable_host(config.stratum.host)
    run_settings = MinerRun(
        url=f"stratum+tcp://{host}:{config.listeners(0)[0].port}",
        user=f"{wallet}.{_WORKER}",
        algorithm=coin.proof_of_work,
        load=config.miner.load,
        pause_s=config.miner.pause_s,
    )
    context.pulse.say("ready", f"mines {coin.name} for {wallet}")
    code = await run_miner(
        run_settings,
        context.clock,
        context.entropy,
        stop=context.stop,
        reporter=_PulseReporter(context),
    )
    if code and not context.stop.is_set():
        raise UnavailableError("the edge does not take the built-in miner")


def demo_wallet(config: Config, coin: Coin, entropy: Entropy) -> DemoWallet:
    """The wallet kept in the data directory, made when there is none."""
    path = config.data_path / f"demo-wallet-{coin.name}.json"
    if not path.exists():
        key = PrivateKey(entropy.token(32))
        address = encode_segwit(0, hash160(key.public_key.format()), coin)
        made = DemoWallet(address=address, private_key=key.to_hex())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(made))
    return msgspec.json.decode(path.read_bytes(), type=DemoWallet)


class _PulseReporter:
    """Puts the miner's figures into heartbeat and log instead of on a terminal."""

    every_s = 10.0

    def __init__(self, context: PartContext) -> None:
        self._context = context
        self._log = structlog.get_logger("miner")

    def say(self, text: str) -> None:
        self._log.info("miner_says", text=text)

    def progress(self, progress: Progress) -> None:
        self._context.pulse.lag("accepted", float(progress.accepted))
        self._log.info(
            "miner_progress",
            hashrate=hashrate_text(progress.hashrate),
            accepted=progress.accepted,
            rejected=progress.rejected,
            blocks=progress.blocks,
        )

    def close(self) -> None:
        """Nothing stands open."""

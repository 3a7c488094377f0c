"""Every setting that exists, with its type, default, unit and meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from millpond.api.settings import ApiSettings
from millpond.chains.evm.settings import NodesSettings
from millpond.chains.evm.tx.settings import TxSettings
from millpond.mining.blocks.settings import BlockSettings
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.rewards.settings import RewardSettings
from millpond.mining.sharelog.settings import ShareLogSettings
from millpond.mining.stratum.settings import ListenerSettings, StratumLimits, VardiffSettings
from millpond.ops.config.evm import DEVEVM, DevevmSettings, EvmChainSettings
from millpond.oracle.settings import OracleSettings
from millpond.risk.settings import RiskSettings
from millpond.staking.settings import StakingSettings

Port = Annotated[int, Meta(ge=0, le=65535)]
DEVCHAIN_LOGIN = "devchain"
"""User and password of the embedded chain: play money, on the loopback only."""

PartName = Literal["devchain", "devevm", "edge", "worker", "chains", "api", "miner"]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section of the configuration."""


class DatabaseSettings(Section, frozen=True, kw_only=True):
    """Where the ledger, the intents and the read models are kept.

    Attributes:
        url: `sqlite:///path` or `postgresql://user:password@host/name`; empty
            for a SQLite file in the data directory.
        pool_size: Connections that each process keeps open to read with.
    """

    url: str = ""
    pool_size: Annotated[int, Meta(ge=1, le=100, extra={"unit": "connections"})] = 5


class LogSettings(Section, frozen=True, kw_only=True):
    """What is logged and how.

    Attributes:
        level: The least urgent events that are written.
        format: `console` for a person, `json` for machines, `auto` for console
            on a terminal and JSON elsewhere.
        to: `stderr`, or `files` for `<data_dir>/logs/<part>.log`, turned over
            at 10 MB, with only warnings on standard error; `auto` is `files`
            under `millpond up` and `stderr` for a part that runs alone.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    to: Literal["auto", "stderr", "files"] = "auto"


class DaemonSettings(Section, frozen=True, kw_only=True):
    """One coin daemon. Several of one coin stand in for each other.

    Attributes:
        coin: Name of the coin, as in `litecoin-regtest`.
        url: Address of its JSON-RPC, as in `http://127.0.0.1:19443`.
        user: RPC user; empty with a cookie file.
        password: RPC password; empty with a cookie file.
        cookie_file: Path of the daemon's `.cookie`, read anew at each refusal.
        wallet: Name of the wallet that blocks pay to and payouts are paid
            from; made by `millpond init`, or by `up`, when there is none.
        timeout_s: How long an answer is waited for.
        zmq: Where it publishes `hashblock`, as in `tcp://127.0.0.1:28332`; empty: nowhere.
    """

    coin: str
    url: str
    user: str = ""
    password: str = ""
    cookie_file: str = ""
    wallet: str = "millpond"
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    zmq: str = ""


class PortSettings(Section, frozen=True, kw_only=True):
    """One of a pool's ports.

    Attributes:
        port: Its number; 0 for any free one.
        start_difficulty: Of a miner that is not known yet; 0 for that of vardiff.
        fixed_difficulty: The same for all its miners; 0 for vardiff.
    """

    port: Port
    start_difficulty: Annotated[float, Meta(ge=0)] = 0.0
    fixed_difficulty: Annotated[float, Meta(ge=0)] = 0.0


class PoolSettings(Section, frozen=True, kw_only=True):
    """One pool: a coin, how its rewards are split, and how they are paid.

    Attributes:
        id: Short name in the database, the API and the share log; for good.
        name: Name for people; the id when empty.
        coin: Name of the coin.
        address: Where blocks pay to; must be of the daemon's wallet, since
            payouts are paid from there. Empty: one is made at the first start
            and kept in the data directory.
        ports: Where its miners connect, on `stratum.host`; empty for the one port
            that `stratum.ports` gives it. One that is taken gives way to the next.
        tag: Words that the pool writes into its blocks.
        rewards: How a block is split.
        blocks: How blocks are followed.
        payouts: How balances are paid; of several pools of one coin the first
            one's settings count, since they share the wallet.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    name: str = ""
    coin: str
    address: str = ""
    ports: Annotated[tuple[PortSettings, ...], Meta(max_length=16)] = ()
    tag: Annotated[str, Meta(max_length=40)] = "/Millpond/"
    rewards: RewardSettings = RewardSettings()
    blocks: BlockSettings = BlockSettings()
    payouts: PayoutSettings = PayoutSettings()


_DEMO_POOL = PoolSettings(
    id="dev-main",
    name="Devcoin",
    coin="devcoin",
    payouts=PayoutSettings(confirmations=2, poll_s=1.0, run_interval_s=5.0, threshold=100_000_000),
)
"""What `millpond up` runs without a configuration: all of it within a minute."""

_DEMO_VARDIFF = VardiffSettings(start=0.000_01, minimum=0.000_001, target_s=0.5)
"""The devchain's blocks are found by one core, so its shares are easier still."""


_DEMO_NODES = NodesSettings(interval_s=2.0)
_DEMO_TX = TxSettings(confirmations=1, poll_s=0.3, patience_s=10.0, keeper_s=5.0)
"""The embedded chain has one node and a block every second."""


class SupervisorSettings(Section, frozen=True, kw_only=True):
    """How `millpond up` keeps its parts.

    Attributes:
        parts: Parts to start; empty for those that the other settings call for.
        ready_timeout_s: How long a part may take until it is ready.
        stop_timeout_s: How long a part may take to stop before it is ended.
        restart_first_s: Pause before a crashed part is started again; doubles
            with each crash.
        restart_longest_s: Longest pause between two starts.
        restart_limit: Crashes in a row, none followed by a minute of health,
            after which all is stopped.
    """

    parts: tuple[PartName, ...] = ()
    ready_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    stop_timeout_s: Annotated[float, Meta(gt=0, le=600)] = 15.0
    restart_first_s: Annotated[float, Meta(gt=0, le=60)] = 0.5
    restart_longest_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    restart_limit: Annotated[int, Meta(ge=1, le=1000, extra={"unit": "crashes"})] = 20


class StratumSettings(Section, frozen=True, kw_only=True):
    """Where miners connect, and what is asked of them.

    Attributes:
        host: Address to listen on.
        ports: One for each pool that names none of its own, in their order; pools beyond them take the
            numbers that follow. A port that is taken gives way to the next.
        edge: Name of this edge in the share log; another for each machine.
        extranonce_prefix: First byte of this edge's extranonces; another for
            each edge of a pool.
        vardiff: How hard shares are made.
        limits: What a connection may do.
    """

    host: str = "127.0.0.1"
    ports: Annotated[tuple[Port, ...], Meta(min_length=1)] = (3333,)
    edge: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] = "edge-1"
    extranonce_prefix: Annotated[int, Meta(ge=0, le=255)] = 0
    vardiff: VardiffSettings = VardiffSettings()
    limits: StratumLimits = StratumLimits()

    def port(self, index: int) -> int:
        """The port of the pool at `index`; 0 for any free one."""
        if index < len(self.ports):
            return self.ports[index]
        last = self.ports[-1]
        return last + 1 + index - len(self.ports) if last else 0


class DevchainSettings(Section, frozen=True, kw_only=True):
    """The embedded chain, used when no daemon is named.

    Attributes:
        host: Address that its JSON-RPC listens on.
        port: Port of the same; the next free one if it is taken.
        block_time_s: Time between two blocks that its difficulty aims at. A
            data directory keeps what it was made with.
        retarget: Whether the difficulty follows the miners; without, it stays
            as it began.
    """

    host: str = "127.0.0.1"
    port: Port = 18999
    block_time_s: Annotated[int, Meta(ge=1, le=600)] = 4
    retarget: bool = True


class MinerSettings(Section, frozen=True, kw_only=True):
    """The built-in miner that `millpond up` starts.

    Attributes:
        enabled: `auto` mines on the devchain and nowhere else.
        load: Share of one core that it may use.
        pause_s: Least seconds between two shares, for test chains on which nearly
            every hash is a block.
        wallet: Address to mine to; on the devchain one is made when empty.
    """

    enabled: Literal["auto", "yes", "no"] = "auto"
    load: Annotated[float, Meta(gt=0, le=1)] = 0.1
    pause_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    wallet: str = ""


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration.

    Attributes:
        data_dir: Directory for the database, the share log, the devchain and
            what the running parts tell each other.
        operator_key: Opens the operator's doors of the JSON interface; empty
            keeps them shut. At least 16 characters.
    """

    data_dir: str = "./millpond-data"
    operator_key: Annotated[str, Meta(pattern="^$|^.{16,}$")] = ""
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    sharelog: ShareLogSettings = ShareLogSettings(url="")
    pools: tuple[PoolSettings, ...] = ()
    daemons: tuple[DaemonSettings, ...] = ()
    http: ApiSettings = ApiSettings()
    stratum: StratumSettings = StratumSettings()
    devchain: DevchainSettings = DevchainSettings()
    miner: MinerSettings = MinerSettings()
    evm: tuple[EvmChainSettings, ...] = ()
    devevm: DevevmSettings = DevevmSettings()
    staking: StakingSettings = StakingSettings()
    risk: RiskSettings = RiskSettings()
    oracle: OracleSettings = OracleSettings()

    @property
    def uses_devevm(self) -> bool:
        """True when the embedded EVM chain runs."""
        if self.devevm.enabled == "auto":
            return not self.evm and self.uses_devchain
        return self.devevm.enabled == "yes"

    @property
    def the_chains(self) -> tuple[EvmChainSettings, ...]:
        """The EVM chains; the embedded one among them when it runs."""
        if not self.uses_devevm:
            return self.evm
        own = self.devevm
        url = f"http://{own.host}:{own.port}"
        embedded = EvmChainSettings(
            name=DEVEVM, chain_id=own.chain_id, urls=(url,), nodes=_DEMO_NODES, tx=_DEMO_TX
        )
        return (*self.evm, embedded)

    @property
    def mines(self) -> bool:
        """False where only EVM chains are named: then there is no mining pool."""
        return bool(self.pools or self.daemons or not self.evm)

    @property
    def the_pools(self) -> tuple[PoolSettings, ...]:
        """The mining pools; the demo's on the devchain when nothing is named."""
        return self.pools or ((_DEMO_POOL,) if self.mines else ())

    def listeners(self, index: int) -> tuple[ListenerSettings, ...]:
        """What the pool at `index` listens on; the first port is its main one."""
        own = self.the_pools[index].ports or (PortSettings(port=self.stratum.port(index)),)
        return tuple(
            ListenerSettings(
                host=self.stratum.host,
                port=one.port,
                start_difficulty=one.start_difficulty,
                fixed_difficulty=one.fixed_difficulty,
            )
            for one in own
        )

    @property
    def vardiff(self) -> VardiffSettings:
        """Difficulties; those of the demo where the devchain is used and nothing is set."""
        set_by_hand = self.stratum.vardiff != VardiffSettings()
        return _DEMO_VARDIFF if self.uses_devchain and not set_by_hand else self.stratum.vardiff

    @property
    def uses_devchain(self) -> bool:
        """True when there is a pool and no daemon, so that the embedded chain is used."""
        return self.mines and not self.daemons

    @property
    def the_daemons(self) -> tuple[DaemonSettings, ...]:
        """The daemons; the embedded chain's when none is named."""
        if not self.uses_devchain:
            return self.daemons
        host, port = self.devchain.host, self.devchain.port
        coin = self.the_pools[0].coin
        login = DEVCHAIN_LOGIN
        return (DaemonSettings(coin=coin, url=f"http://{host}:{port}", user=login, password=login),)

    @property
    def miner_enabled(self) -> bool:
        """True when the built-in miner is started."""
        if not self.mines:
            return False
        return self.miner.enabled == "yes" or (self.miner.enabled == "auto" and self.uses_devchain)

    @property
    def data_path(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def run_path(self) -> Path:
        """Where parts leave heartbeats, metrics and locks."""
        return self.data_path / "run"

    @property
    def database_url(self) -> str:
        """The database's URL with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_path / 'millpond.db'}"

    @property
    def sharelog_settings(self) -> ShareLogSettings:
        """The share log's settings with the URL's default filled in.

        By default a file of its own, so that the log's commits never wait for
        the ledger's; with PostgreSQL the same database.
        """
        url = self.sharelog.url
        if not url and self.database_url.startswith("sqlite"):
            url = f"sqlite:///{self.data_path / 'shares.db'}"
        return msgspec.structs.replace(self.sharelog, url=url or self.database_url)

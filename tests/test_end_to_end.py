"""A miner, the pool and a real litecoind: from the first share to the confirmed payment."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.chains.bitcoin.address import encode_segwit
from millpond.chains.bitcoin.hashes import hash160
from millpond.chains.coins import coin_named
from tests.chains.daemons import MWEB_HEIGHT, LitecoinDaemon
from tests.support.product import Pool
from tests.support.stratum import StratumMiner

EXAMPLE = Path(__file__).parent.parent / "examples" / "litecoin-regtest.toml"
COIN = coin_named("litecoin-regtest")
ALICE = encode_segwit(0, hash160(b"alice"), COIN)
BOB = encode_segwit(0, hash160(b"bob"), COIN)
MATURITY = 101


@pytest.fixture
def daemon() -> Iterator[LitecoinDaemon]:
    with LitecoinDaemon() as running:
        yield running


def pool_for(daemon: LitecoinDaemon, data: Path) -> Pool:
    """The example as it is shipped, but for the daemon's address."""
    return Pool(
        data,
        config=EXAMPLE,
        daemons__0__url=daemon.url,
        daemons__0__user=daemon.user,
        daemons__0__password=daemon.password,
        miner__enabled="no",
    )


async def find_blocks(pool: Pool, daemon: LitecoinDaemon, wallet: str, blocks: int) -> None:
    pool.wait_for_line("edge      ready")
    async with StratumMiner("127.0.0.1", pool.stratum_port, f"{wallet}.rig", "scrypt") as miner:
        tip = bytes.fromhex(daemon.rpc("getbestblockhash"))[::-1]
        while (await miner.job()).previous_hash != tip:
            await miner.next_job()
        for _ in range(blocks):
            await miner.block()


def received(daemon: LitecoinDaemon, address: str) -> int:
    """Base units that an address holds on the chain, by the daemon's own scan."""
    found = daemon.rpc("scantxoutset", "start", [f"addr({address})"])
    units: int = round(found["total_amount"] * 10**8)
    return units


def settle(pool: Pool, daemon: LitecoinDaemon, blocks: int, payouts: int) -> list[dict[str, Any]]:
    """Let rewards mature and payments confirm, the network mining on."""
    pool.until(
        "credited blocks",
        lambda: len(of_pool(pool, "confirming") + of_pool(pool, "mature")) >= blocks,
    )
    daemon.mine(MATURITY)
    pool.until("mature blocks", lambda: len(of_pool(pool, "mature")) >= blocks)

    def settled() -> list[dict[str, Any]] | None:
        if daemon.rpc("getmempoolinfo")["size"] or pool.payments("confirmed", "ltc-regtest"):
            daemon.mine(1)
        done = pool.payments("settled", "ltc-regtest")
        return done if len(done) >= payouts else None

    return pool.until("settled payouts", settled)


def of_pool(pool: Pool, state: str) -> list[dict[str, Any]]:
    return pool.blocks(state, "ltc-regtest")


def assert_audit_is_clean(pool: Pool) -> None:
    audit = pool.command("audit", "--json")
    rows = json.loads(audit.stdout)["rows"]
    assert [row for row in rows if row["verdict"] != "ok"] == []
    assert audit.returncode == 0


async def test_blocks_are_found_and_paid_before_and_after_mweb(
    tmp_path: Path, daemon: LitecoinDaemon
):
    with pool_for(daemon, tmp_path / "data") as pool:
        await find_blocks(pool, daemon, ALICE, 2)
        await find_blocks(pool, daemon, BOB, 1)
        before = settle(pool, daemon, blocks=3, payouts=2)
        assert {payout["wallet"] for payout in before} == {ALICE, BOB}
        for wallet in (ALICE, BOB):
            paid = sum(
                int(payout["amount"]["units"]) - int(payout["network_fee"]["units"])
                for payout in before
                if payout["wallet"] == wallet
            )
            assert received(daemon, wallet) == paid > 0
        for payout in before:
            assert daemon.rpc("getrawtransaction", payout["txid"], True)["confirmations"] >= 2
        assert_audit_is_clean(pool)

        daemon.mine_to(MWEB_HEIGHT)
        await find_blocks(pool, daemon, ALICE, 2)
        tip = daemon.rpc("getblock", daemon.rpc("getbestblockhash"), 2)
        assert "mweb" in tip
        after = settle(pool, daemon, blocks=5, payouts=3)
        paid = sum(
            int(payout["amount"]["units"]) - int(payout["network_fee"]["units"])
            for payout in after
            if payout["wallet"] == ALICE
        )
        assert received(daemon, ALICE) == paid
        found = of_pool(pool, "mature")
        chain = {block["block_hash"]: block["height"] for block in found}
        assert all(daemon.rpc("getblockhash", height) == name for name, height in chain.items())
        assert_audit_is_clean(pool)
        assert pool.stop() == 0

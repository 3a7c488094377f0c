"""What a person decides about staking by commands: written down with name and reason."""

import shutil
from pathlib import Path

from sqlalchemy import select, update

from millpond.staking.rewards.model import EpochState
from millpond.staking.rewards.rows import first_disputed
from millpond.staking.rewards.tables import epoch_table
from millpond.staking.tables import checkpoint_table
from millpond.store import Store
from millpond.trail import Trail
from tests.staking.rewards.chain import ALICE, E18, World
from tests.support.product import environment, millpond

POOL = "btcd-main-pool"


async def test_a_stopped_pool_and_a_disputed_epoch_go_on_by_a_persons_word(
    sqlite_template: Path, tmp_path: Path
):
    shutil.copy(sqlite_template, tmp_path / "one.db")
    url = f"sqlite:///{tmp_path}/one.db"
    store = await Store.open(url)
    try:
        world = await World(store).create()
        await world.fund(0, 100 * E18)
        await world.hold(1, ALICE, 3)
        await world.mark(300)
        (epoch,) = await world.close_all()
        disputed = {"state": EpochState.DISPUTED.value, "note": "a reorg"}
        async with store.begin() as tx:
            await tx.execute(update(checkpoint_table).values(stopped="the books cannot follow"))
            await tx.execute(update(epoch_table).values(**disputed))
        env = environment(tmp_path, database__url=url) | {"USER": "alice"}
        done = millpond("staking", "restart", "--reason", "I looked", env=env)
        assert (done.returncode, "the books cannot follow" in done.stdout) == (0, True), done.stderr
        done = millpond("staking", "accept", str(epoch.epoch), "--reason", "a few wei", env=env)
        assert (done.returncode, "a few wei" in done.stdout) == (0, True), done.stderr
        refused = millpond("staking", "restart", "--reason", "again", env=env)
        assert refused.returncode != 0
        assert "does not stand still" in refused.stderr
        async with store.read() as tx:
            entries = await Trail(world.clock).read(tx)
            stopped = (await tx.execute(select(checkpoint_table.c.stopped))).scalar()
            assert (stopped, await first_disputed(tx, POOL)) == ("", None)
        assert {(each.actor, each.action, each.reason) for each in entries} == {
            ("alice", "staking.restart", "I looked"),
            ("alice", "staking.accept-epoch", "a few wei"),
        }
    finally:
        await store.close()

"""Statements and proofs out of the stored epochs."""

from __future__ import annotations

from collections.abc import Sequence

from millpond.chains.evm.address import checksum
from millpond.staking.pools import PoolKind, StakingPool, get_pool
from millpond.staking.rewards import rows
from millpond.staking.rewards.epochs import pool_part
from millpond.staking.rewards.errors import (
    EpochChangedError,
    EpochClearedError,
    EpochNotFoundError,
    ForeignRootError,
    NoRewardsError,
)
from millpond.staking.rewards.merkle import MerkleTree
from millpond.staking.rewards.model import Epoch, Proof, Snapshot
from millpond.staking.rewards.statement import (
    FORMAT,
    AccountPart,
    EmissionPart,
    FundsPart,
    Statement,
    TermsPart,
    encode,
    statement_hash,
)
from millpond.staking.rewards.weights import terms_parts
from millpond.store import Tx


async def export(tx: Tx, pool_id: str, epoch: int) -> bytes:
    """The statement of a closed epoch, byte for byte as it was closed.

    Raises:
        PoolNotFoundError: There is no such pool.
        EpochNotFoundError: It was not closed.
        EpochClearedError: It is old, and its lines were cleaned up.
        EpochChangedError: The stored rows no longer make that statement.
    """
    pool = await get_pool(tx, pool_id)
    row = await rows.epoch_row(tx, pool_id, epoch)
    if row is None:
        raise EpochNotFoundError("no such epoch was closed", pool=pool_id, epoch=epoch)
    lines = await rows.snapshots(tx, pool_id, epoch)
    if row.accounts and not lines:
        raise EpochClearedError(
            "this epoch's lines were cleaned up; its statement follows from the chain",
            pool=pool_id,
            epoch=epoch,
            statement_hash=row.statement_hash,
        )
    document = encode(await _rebuild(tx, pool, row, lines))
    if statement_hash(document) != row.statement_hash:
        raise EpochChangedError(
            "the rows of this epoch no longer make the statement that was published",
            pool=pool_id,
            epoch=epoch,
        )
    return document


async def proof(tx: Tx, pool_id: str, wallet: str) -> Proof:
    """What a wallet can prove now: from the last root on chain, or the last epoch of a direct pool.

    Raises:
        PoolNotFoundError: There is no such pool.
        InvalidAddressError: The wallet is no address.
        NoRewardsError: The wallet has nothing in it, or nothing was closed.
        ForeignRootError: The chain has a root that is not of these books.
    """
    pool = await get_pool(tx, pool_id)
    wallet = checksum(wallet)
    row = await _provable(tx, pool)
    lines = [] if row is None else await rows.snapshots(tx, pool_id, row.epoch)
    amounts = {line.wallet: line.cumulative for line in lines if line.cumulative}
    if row is None or wallet not in amounts:
        raise NoRewardsError("the wallet has earned nothing that can be proven yet", wallet=wallet)
    tree = MerkleTree(amounts)
    return Proof(
        pool_id=pool_id,
        epoch=row.epoch,
        number=row.number,
        wallet=wallet,
        cumulative=amounts[wallet],
        root="0x" + tree.root.hex(),
        proof=["0x" + sibling.hex() for sibling in tree.proof(wallet)],
        statement_hash=row.statement_hash,
    )


async def _provable(tx: Tx, pool: StakingPool) -> Epoch | None:
    """The epoch whose root a proof has to lead to."""
    if pool.kind is PoolKind.DIRECT:
        return await rows.last_epoch(tx, pool.pool_id)
    posted = await rows.last_posted(tx, pool.pool_id)
    if posted is None:
        return None
    epoch = await rows.epoch_by_number(tx, pool.pool_id, posted.number)
    if epoch is None or epoch.root != posted.root:
        raise ForeignRootError(
            "the root on chain is not this pool's; its owner has to look",
            pool=pool.pool_id,
            number=posted.number,
            root=posted.root,
        )
    return epoch


async def _rebuild(tx: Tx, pool: StakingPool, row: Epoch, lines: Sequence[Snapshot]) -> Statement:
    first = await rows.first_epoch(tx, pool.pool_id)
    assert first is not None, "one was closed"
    terms: list[TermsPart] = await terms_parts(tx, pool.pool_id)
    return Statement(
        format=FORMAT,
        pool=pool_part(pool, first),
        epoch=row.epoch,
        number=row.number,
        start_s=row.start_s,
        end_s=row.end_s,
        terms=[part for part in terms if part.from_epoch <= row.epoch],
        funds=FundsPart(
            fundings=rows.fundings_from(row.fundings),
            funded=str(row.funded),
            available=str(max(0, row.funded - (row.emitted - row.pot))),
        ),
        emission=EmissionPart(
            staked_s=row.staked_s,
            weight=str(row.weight),
            wanted=str(row.wanted),
            pot=str(row.pot),
            shortfall=str(row.shortfall),
            emitted=str(row.emitted),
            carry=str(row.carry),
            distributed=str(row.distributed),
            cumulative=str(row.cumulative),
        ),
        accounts=[
            AccountPart(
                wallet=line.wallet,
                weight=str(line.weight),
                earned=str(line.earned),
                cumulative=str(line.cumulative),
                fraction=str(line.fraction),
            )
            for line in lines
        ],
        changes=row.changes,
        changes_sha256=row.changes_sha256,
        root=row.root,
        previous=row.previous,
    )

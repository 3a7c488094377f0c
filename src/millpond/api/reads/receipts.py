"""A miner's receipts: the groups of the share log that hold its shares."""

from __future__ import annotations

from millpond.api.models import Receipt, RefusedShare, iso
from millpond.mining.accounts import wallet_of
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.mining.sharelog.records import DecodedGroup, Position

SCAN_GROUPS = 2_000
"""Groups looked through for one answer, found or not."""


async def wallet_receipts(
    reader: ShareLogReader,
    pool_id: str,
    wallet: str,
    *,
    upto: Position | None,
    limit: int,
    scan: int = SCAN_GROUPS,
    refused: bool = False,
) -> tuple[list[Receipt], int | None]:
    """Receipts from `upto` back, newest first, and the group to go on below.

    With `refused` also those groups that only say why a share was not credited.
    The second value is None when the log's beginning was reached.
    """
    place = upto or await reader.head(pool_id)
    found: list[Receipt] = []
    if place is None:
        return found, None
    seen = 0
    async for group in reader.groups_before(pool_id, place):
        seen += 1
        last = place.share if group.position.group == place.group and upto else None
        receipt = _receipt(group, wallet, last)
        if receipt is not None and not receipt.shares and not refused:
            receipt = None
        if receipt is not None:
            found.append(receipt)
        if len(found) >= limit or seen >= scan:
            return found, group.position.group
    return found, None


def _receipt(group: DecodedGroup, wallet: str, last: int | None) -> Receipt | None:
    mine = {index for index, name in enumerate(group.workers) if wallet_of(name) == wallet}
    if not mine:
        return None
    rows = group.rows if last is None else group.rows[: last + 1]
    credited = [row[3] for row in rows if row[1] in mine]
    refused = [
        RefusedShare(
            at=iso(share.time_ms),
            worker=share.worker,
            reason=share.reason.name.lower(),
            difficulty=str(share.difficulty),
            header=share.evidence.hex(),
        )
        for share in group.rejected
        if wallet_of(share.worker) == wallet
    ]
    if not credited and not refused:
        return None
    stored = group.group
    return Receipt(
        pool_id=stored.pool_id,
        edge=stored.edge,
        sequence=stored.sequence,
        group_hash=stored.hash.hex(),
        previous_hash=stored.previous_hash.hex(),
        first_at=iso(stored.first_ms),
        last_at=iso(stored.last_ms),
        group_shares=stored.shares,
        shares=len(credited),
        difficulty=str(sum(credited)),
        refused=refused,
    )

"""One wallet's position in a pool: what it has, and what it asks for."""

from __future__ import annotations

from millpond.api.pagination import Page, Place, decode_cursor, page_of
from millpond.api.staking import convert, models
from millpond.api.staking.callers import Caller
from millpond.api.staking.deps import StakingDeps
from millpond.api.staking.reads import StakingReads
from millpond.clock import Clock
from millpond.errors import NotFoundError
from millpond.staking import accounts
from millpond.staking.deposits import Deposits
from millpond.staking.pools import StakingPool, get_pool, list_pools
from millpond.staking.positions import events_of, get_position
from millpond.staking.rewards import claims as claim_rows
from millpond.staking.rewards import rows as reward_rows
from millpond.staking.rewards import statements
from millpond.staking.rewards.claims import Claim, Claims
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import Withdrawal
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store, Tx


class Positions:
    """Reads and moves positions; who may is decided before (`Callers`).

    Args:
        store: The database.
        clock: Time.
        deps: The rooms.
        reads: For a pool's figures.
    """

    def __init__(self, store: Store, clock: Clock, deps: StakingDeps, reads: StakingReads) -> None:
        self._store = store
        self._clock = clock
        self._deps = deps
        self._reads = reads
        self._withdrawals = Withdrawals(deps.ledger, deps.risk, clock, deps.ids)
        self._claims = Claims(deps.ledger, deps.risk, clock, deps.ids)

    async def pool(self, pool_id: str) -> StakingPool:
        """A pool's terms.

        Raises:
            PoolNotFoundError: There is none of that name.
        """
        async with self._store.read() as tx:
            return await get_pool(tx, pool_id)

    async def chain_for(self, pool_id: str | None, chain_id: int | None) -> int:
        """The chain on which a wallet signs in: named, a pool's, or the first there is.

        Raises:
            PoolNotFoundError: There is no such pool.
            NotFoundError: Nothing here is on that chain, or on any.
        """
        async with self._store.read() as tx:
            if pool_id is not None:
                known = [(await get_pool(tx, pool_id)).chain_id]
            else:
                known = [pool.chain_id for pool in await list_pools(tx)]
                known += self._deps.chains
        if not known or (chain_id is not None and chain_id not in known):
            raise NotFoundError("no staking pool is on that chain")
        return known[0] if chain_id is None else chain_id

    async def balance(self, pool: StakingPool, wallet: str) -> models.Position:
        """What a wallet has staked."""
        account = accounts.staked(pool.pool_id, wallet, pool.stake)
        async with self._store.read() as tx:
            position = await get_position(tx, pool.pool_id, wallet)
            booked = await self._deps.ledger.balance(tx, account)
            info = await self._reads.figures(tx, pool)
        return models.Position(
            pool_id=pool.pool_id,
            wallet=wallet,
            staked=convert.tokens(pool, convert.worth(pool, info, position.balance)),
            units=convert.stake(pool, position.balance),
            unconfirmed=convert.stake(pool, position.seen),
            reserved=convert.stake(pool, booked.posted.units - booked.available.units),
            available=convert.stake(pool, booked.available.units),
            since=convert.seconds(position.since_s) if position.since_s else None,
        )

    async def rewards(self, pool: StakingPool, wallet: str) -> models.Rewards:
        """What a wallet has earned."""
        owed = accounts.rewards(pool.pool_id, wallet, pool.asset)
        kept = accounts.kept(pool.pool_id, wallet, pool.asset)
        async with self._store.read() as tx:
            found = await self._deps.ledger.balances(tx, [owed, kept])
            lines = await reward_rows.wallet_lines(tx, pool.pool_id, wallet, limit=1)
        earned = lines[0].cumulative if lines else 0
        posted, waits = found[owed].posted.units, found[kept].posted.units
        available = found[owed].available.units
        return models.Rewards(
            pool_id=pool.pool_id,
            wallet=wallet,
            earned=convert.tokens(pool, earned),
            claimable=convert.tokens(pool, available),
            claiming=convert.tokens(pool, posted - available),
            kept=convert.tokens(pool, waits),
            paid=convert.tokens(pool, max(0, earned - posted - waits)),
            epoch=lines[0].epoch if lines else None,
        )

    async def reward_lines(
        self, pool: StakingPool, wallet: str, *, limit: int, cursor: str | None
    ) -> Page[models.RewardLine]:
        """What a wallet earned in each epoch, newest first."""
        before = decode_cursor(cursor, tuple[Place])
        async with self._store.read() as tx:
            rows = await reward_rows.wallet_lines(
                tx,
                pool.pool_id,
                wallet,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(
            rows, limit, lambda row: convert.reward_line(pool, row), lambda row: row.epoch
        )

    async def events(
        self, pool: StakingPool, wallet: str, *, limit: int, cursor: str | None
    ) -> Page[models.StakingEvent]:
        """What moved a wallet's position, newest first."""
        before = decode_cursor(cursor, tuple[Place])
        async with self._store.read() as tx:
            rows = await events_of(
                tx,
                pool.pool_id,
                wallet=wallet,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(rows, limit, lambda row: convert.event(pool, row), lambda row: row.seq)

    async def withdrawals(
        self, pool: StakingPool, wallet: str, *, limit: int, cursor: str | None
    ) -> Page[models.Withdrawal]:
        """A wallet's withdrawals out of a pool, newest first."""
        before = decode_cursor(cursor, tuple[str])
        async with self._store.read() as tx:
            rows = await withdrawal_rows.listed(
                tx,
                pool_id=pool.pool_id,
                wallet=wallet,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(rows, limit, lambda row: convert.withdrawal(pool, row), lambda row: row.id)

    async def claims(
        self, pool: StakingPool, wallet: str, *, limit: int, cursor: str | None
    ) -> Page[models.Claim]:
        """A wallet's claims of rewards of a pool, newest first."""
        before = decode_cursor(cursor, tuple[str])
        async with self._store.read() as tx:
            rows = await claim_rows.listed(
                tx,
                pool_id=pool.pool_id,
                wallet=wallet,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(rows, limit, lambda row: convert.claim(pool, row), lambda row: row.id)

    async def prepare_deposit(self, pool: StakingPool, wallet: str, amount: int) -> models.Deposit:
        """Check a deposit and make what the wallet signs for it.

        Raises:
            ChainNotHereError: The pool's chain cannot be asked here.
            DepositRefusedError, RiskRefusedError, RpcError: See `Deposits.prepare`.
        """
        made = await self._deposits(pool).prepare(
            pool, wallet, amount, now_s=self._clock.now_ms() // 1000
        )
        return convert.deposit(pool, made)

    async def prepare_exit(
        self, pool: StakingPool, wallet: str, units: int | None
    ) -> models.WithdrawalAnswer:
        """What a wallet signs to leave by itself; None is everything.

        Raises:
            ChainNotHereError: The pool's chain cannot be asked here.
            DepositRefusedError, RpcError: See `Deposits.withdraw`.
        """
        if units is None:
            async with self._store.read() as tx:
                units = (await get_position(tx, pool.pool_id, wallet)).balance
        made = await self._deposits(pool).withdraw(pool, wallet, units)
        return models.WithdrawalAnswer(
            pool_id=pool.pool_id, wallet=wallet, transactions=[convert.to_sign(made)]
        )

    async def prepare_claim(self, pool: StakingPool, wallet: str) -> models.ClaimAnswer:
        """What a vault's holder signs to take all rewards up to the last root.

        Raises:
            NoRewardsError: There is nothing to prove yet.
            ChainNotHereError: The pool's chain cannot be asked here.
            DepositRefusedError, RpcError: See `Deposits.claim`.
        """
        async with self._store.read() as tx:
            found = await statements.proof(tx, pool.pool_id, wallet)
        made = await self._deposits(pool).claim(pool, wallet, found.cumulative, found.proof)
        return models.ClaimAnswer(
            pool_id=pool.pool_id,
            wallet=wallet,
            proof=convert.proof(pool, found),
            transactions=[convert.to_sign(made)],
        )

    async def request_claim(
        self, tx: Tx, pool: StakingPool, caller: Caller, units: int | None
    ) -> models.ClaimAnswer:
        """Ask for the rewards of a direct pool; the operator's asking is on the trail.

        Raises:
            MillpondError: See `Claims.request`.
        """
        made = await self._claims.request(
            tx, pool_id=pool.pool_id, wallet=caller.wallet, amount=units
        )
        if caller.is_operator:
            await self._record(tx, caller, "staking.claim", made)
        return models.ClaimAnswer(
            pool_id=pool.pool_id, wallet=caller.wallet, claim=convert.claim(pool, made)
        )

    async def request_withdrawal(
        self, tx: Tx, pool: StakingPool, caller: Caller, units: int | None
    ) -> models.WithdrawalAnswer:
        """Ask for a withdrawal out of a direct pool; the operator's asking is on the trail.

        Raises:
            MillpondError: See `Withdrawals.request`.
        """
        made = await self._withdrawals.request(
            tx, pool_id=pool.pool_id, wallet=caller.wallet, amount=units
        )
        if caller.is_operator:
            await self._record(tx, caller, "staking.withdraw", made)
        return models.WithdrawalAnswer(
            pool_id=pool.pool_id,
            wallet=caller.wallet,
            withdrawal=convert.withdrawal(pool, made),
        )

    async def _record(self, tx: Tx, caller: Caller, action: str, made: Withdrawal | Claim) -> None:
        after = {"pool": made.pool_id, "wallet": made.wallet, "amount": str(made.amount)}
        await self._deps.trail.record(tx, caller.actor, action, made.reference, after=after)

    def _deposits(self, pool: StakingPool) -> Deposits:
        chain = self._deps.chain(pool.chain_id)
        return Deposits(self._store, chain, self._deps.ledger, self._deps.risk)

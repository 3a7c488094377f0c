"""What the operator does with staking pools; every act is one transaction with its trail entry."""

from __future__ import annotations

import msgspec

from millpond.api.models import iso
from millpond.api.pagination import Page, decode_cursor, page_of
from millpond.api.staking import convert, models
from millpond.api.staking.deps import StakingDeps
from millpond.chains.evm.address import checksum
from millpond.chains.evm.operations import Operation
from millpond.clock import Clock
from millpond.errors import ConflictError, NotFoundError
from millpond.staking.errors import PoolTermsError
from millpond.staking.funding import check_funds, funding_group, order_funding
from millpond.staking.pools import (
    PoolKind,
    StakingPool,
    get_pool,
    list_pools,
    lock_pool,
)
from millpond.staking.registering import (
    check_contracts,
    read_share,
    read_token,
    take_in,
)
from millpond.staking.rewards.weights import PoolTerms, Weights, parse_weight
from millpond.staking.withdrawals import rows as withdrawal_rows
from millpond.staking.withdrawals.model import WithdrawalState
from millpond.staking.withdrawals.service import Withdrawals
from millpond.store import Store, Tx


class NewPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as an operator describes it; amounts in whole tokens as text.

    Attributes:
        token, contract, rewards_contract: Addresses.
        reward_per_minute: Of a new pool 0 where it is not named.
        epoch_zero_s: When epoch 0 begins, Unix seconds; of a new pool with the last whole
            epoch where it is not named.
    """

    pool_id: str
    kind: PoolKind
    chain_id: int
    token: str
    contract: str
    rewards_contract: str | None
    start_block: int
    confirmations: int
    reward_per_minute: str | None
    epoch_s: int
    epoch_zero_s: int | None
    minimum_withdrawal: str


class PoolTakenError(ConflictError):
    """A mining pool has that name."""

    code = "pool_id_taken"


class StakingAdmin:
    """The operator's acts on pools.

    Args:
        store: The database.
        clock: Time.
        deps: The rooms.
    """

    def __init__(self, store: Store, clock: Clock, deps: StakingDeps) -> None:
        self._store = store
        self._clock = clock
        self._deps = deps
        self._weights = Weights(clock, deps.trail)
        self._withdrawals = Withdrawals(deps.ledger, deps.risk, clock, deps.ids)

    # -- pools -----------------------------------------------------------------------

    async def describe(self, wish: NewPool) -> StakingPool:
        """The pool of a description, held against its contracts on the chain.

        Raises:
            InvalidAddressError: An address is none.
            InvalidInputError: The contracts are others than those of such a pool.
            PoolTermsError: It begins at a block that the chain does not have yet.
            AmountError: An amount is none of the token.
            ChainNotHereError, RpcError: The chain cannot be asked.
        """
        chain = self._deps.chain(wish.chain_id)
        token = await read_token(chain, wish.chain_id, checksum(wish.token))
        contract = checksum(wish.contract)
        share = None
        if wish.kind is PoolKind.VAULT:
            share = await read_share(chain, token, contract)
        rewards = wish.rewards_contract
        now_s = self._clock.now_ms() // 1000
        zero_s = now_s - now_s % wish.epoch_s if wish.epoch_zero_s is None else wish.epoch_zero_s
        pool = StakingPool(
            pool_id=wish.pool_id,
            kind=wish.kind,
            chain_id=wish.chain_id,
            token=token,
            share=share,
            contract=contract,
            rewards_contract=None if rewards is None else checksum(rewards),
            start_block=wish.start_block,
            confirmations=wish.confirmations,
            reward_per_minute=token.asset.parse(wish.reward_per_minute or "0").units,
            epoch_s=wish.epoch_s,
            epoch_zero_s=zero_s,
            min_withdrawal=max(1, token.asset.parse(wish.minimum_withdrawal).units),
        )
        await check_contracts(chain, pool)
        head = (await chain.head(agreed=True)).number
        if pool.start_block > head:
            raise PoolTermsError(
                f"the pool would begin at block {pool.start_block}; the chain is at {head}"
            )
        return pool

    async def create(self, tx: Tx, actor: str, wish: NewPool, pool: StakingPool) -> models.PoolMade:
        """Take a described pool into service; again it is answered with the first.

        What is compared then says `as_it_was_made`.

        Args:
            tx: The transaction.
            actor: Who.
            wish: The description.
            pool: What `describe` made of it.

        Raises:
            PoolTermsError: Terms that no pool can have.
            PoolConflictError: A pool, a code or a contract is used with other terms.
        """
        made, new = await take_in(
            tx,
            self._clock,
            pool,
            rate_named=wish.reward_per_minute is not None,
            zero_named=wish.epoch_zero_s is not None,
        )
        if new:
            facts = {
                "kind": made.kind.value,
                "contract": made.contract,
                "rewards_contract": made.rewards_contract or "",
                "token": made.token.address,
                "reward_per_minute": str(made.reward_per_minute),
            }
            await self._deps.trail.record(
                tx, actor, "staking.init", f"pool:{made.pool_id}", after=facts
            )
        return models.PoolMade(
            pool_id=made.pool_id,
            kind=made.kind.value,
            contract=made.contract,
            token=made.token.address,
            asset=made.token.code,
            created_at=iso(made.created_ms),
        )

    # -- emissions -------------------------------------------------------------------

    async def set_weight(
        self,
        tx: Tx,
        actor: str,
        pool_id: str,
        weight: str,
        emission: str | None,
        *,
        reason: str,
    ) -> models.PoolTerms:
        """Set a pool's part of its emission from its next epoch on.

        Raises:
            PoolNotFoundError: There is no such pool.
            WeightError: See `Weights.set_weight`.
        """
        terms = await self._weights.set_weight(
            tx, actor, pool_id, parse_weight(weight), reason=reason, emission=emission
        )
        return _terms(await get_pool(tx, pool_id), terms)

    async def set_rate(
        self, tx: Tx, actor: str, pool_id: str, per_minute: str, reason: str
    ) -> list[models.PoolTerms]:
        """Set what a pool's emission gives a minute, for all pools that share it.

        Raises:
            PoolNotFoundError: There is no such pool.
            AmountError: No amount of the token.
            WeightError: See `Weights.set_rate`.
        """
        pool = await get_pool(tx, pool_id)
        rate = pool.asset.parse(per_minute).units
        emission = (await self._weights.current(tx, pool_id)).emission
        changed = await self._weights.set_rate(tx, actor, emission, rate, reason=reason)
        return [_terms(await get_pool(tx, terms.pool_id), terms) for terms in changed]

    # -- funding ---------------------------------------------------------------------

    async def check_funding(self, pool_id: str, amount: str, order: str) -> tuple[StakingPool, int]:
        """Hold a funding against what there is; one that was ordered goes on.

        Raises:
            PoolNotFoundError: There is no such pool.
            AmountError, InvalidInputError: No amount, or no name of an order.
            ConflictError: The tokens are not there, or nobody here has a key.
            ChainNotHereError, RpcError: The chain cannot be asked.
        """
        async with self._store.read() as tx:
            pool = await get_pool(tx, pool_id)
            known = await self._deps.operations.of_group(tx, funding_group(pool_id, order))
        units = pool.asset.parse(amount).units
        if not known:
            chain = self._deps.chain(pool.chain_id)
            await check_funds(chain, pool, units, self._signer(pool))
        return pool, units

    async def fund(
        self, tx: Tx, actor: str, pool: StakingPool, units: int, order: str
    ) -> models.Funding:
        """Order the transactions that fund a pool's rewards; a worker with the key does them.

        Raises:
            InvalidInputError, ConflictError: See `order_funding`.
            OperationConflictError, OperationUndecidedError: See `order_funding`.
        """
        signer, operations = self._signer(pool), self._deps.operations
        await lock_pool(tx, pool.pool_id)
        known = await operations.of_group(tx, funding_group(pool.pool_id, order))
        made = await order_funding(
            tx, operations, pool, units, order=order, signer=signer, actor=actor
        )
        if {each.intent_id for each in made} - {each.intent_id for each in known}:
            after = {"amount": str(units), "order": order, "signer": signer}
            await self._deps.trail.record(
                tx, actor, "staking.fund", f"pool:{pool.pool_id}", after=after
            )
        return _funding(pool.pool_id, order, made)

    async def funding(self, pool_id: str, order: str) -> models.Funding:
        """What became of a funding.

        Raises:
            NotFoundError: It was never ordered.
        """
        async with self._store.read() as tx:
            made = await self._deps.operations.of_group(tx, funding_group(pool_id, order))
        if not made:
            raise NotFoundError("no funding of that name was ordered")
        return _funding(pool_id, order, made)

    def _signer(self, pool: StakingPool) -> str:
        found = self._deps.signers.get(pool.chain_id)
        if found is None:
            raise ConflictError(f"no key of chain {pool.chain_id} is configured to fund with")
        return found

    # -- withdrawals -----------------------------------------------------------------

    async def withdrawals(
        self,
        *,
        pool_id: str | None,
        state: WithdrawalState | None,
        limit: int,
        cursor: str | None,
    ) -> Page[models.Withdrawal]:
        """Withdrawals of all wallets, newest first."""
        before = decode_cursor(cursor, tuple[str])
        async with self._store.read() as tx:
            pools = {pool.pool_id: pool for pool in await list_pools(tx)}
            rows = await withdrawal_rows.listed(
                tx,
                pool_id=pool_id,
                state=state,
                before=before[0] if before else None,
                limit=limit + 1,
            )
        return page_of(
            rows,
            limit,
            lambda row: convert.withdrawal(pools[row.pool_id], row),
            lambda row: row.id,
        )

    async def cancel(
        self, tx: Tx, actor: str, withdrawal_id: str, reason: str
    ) -> models.Withdrawal:
        """End a withdrawal that is in no transaction yet; what was reserved returns.

        Raises:
            WithdrawalNotFoundError: There is none.
            WithdrawalStateError: It is under way or finished.
        """
        ended = await self._withdrawals.cancel(tx, withdrawal_id, reason=reason)
        await self._deps.trail.record(
            tx,
            actor,
            "staking.cancel-withdrawal",
            ended.reference,
            before={"state": WithdrawalState.PENDING.value, "amount": str(ended.amount)},
            after={"state": ended.state.value},
            reason=reason,
        )
        return convert.withdrawal(await get_pool(tx, ended.pool_id), ended)


def _terms(pool: StakingPool, terms: PoolTerms) -> models.PoolTerms:
    return models.PoolTerms(
        pool_id=terms.pool_id,
        from_epoch=terms.from_epoch,
        emission=terms.emission,
        reward_per_minute=convert.tokens(pool, terms.reward_per_minute),
        weight=convert.fraction(terms.weight_ppm),
    )


def _funding(pool_id: str, order: str, made: list[Operation]) -> models.Funding:
    return models.Funding(
        pool_id=pool_id,
        order=order,
        signer=made[0].signer,
        transactions=[
            models.OrderedTransaction(
                key=each.key,
                what=each.what,
                state=each.state.value,
                tx_hash=each.tx_hash,
                block_number=each.block_number,
                reason=each.reason,
            )
            for each in sorted(made, key=lambda each: each.key)
        ],
    )

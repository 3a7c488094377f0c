"""What the API answers about staking. Amounts are text, never JSON numbers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from millpond.api.models import Model, Money


class StakingPool(Model, frozen=True, kw_only=True):
    """A staking pool's terms and figures.

    Attributes:
        kind: `direct` (balances in the contract) or `vault` (ERC-4626 shares).
        state: active, paused or closed; exits are open in all of them.
        token: The ERC-20 that is staked and paid, EIP-55.
        contract: Where stakes are.
        rewards_contract: Where rewards are paid from; none: the pool gives none.
        share: Code of a vault's shares; null for a direct pool.
        share_rate: Tokens for one whole share; null for a direct pool.
        confirmations: How deep a deposit is counted.
        epoch_s: Length of an epoch.
        minimum_withdrawal: Smallest withdrawal that can be asked for.
        reward_per_minute: What all stakers of the pool earn together in a minute.
        weight: The pool's part of its emission, 0 to 1.
        tvl: Tokens that the contract holds for stakers, as booked.
        apr: A year's rewards over what is staked at the present rate, nothing staked
            again: `0.12` is 12 %. Null while nobody stakes.
        apy: The same if each epoch's rewards were staked again at once.
        compounds: How often a year the APY assumes; the platform does not do it by itself.
        reserve: Funded and not yet distributed.
        reserve_lasts_s: Seconds until it is empty at this rate; null: never.
        indexed_block: Up to where the chain was read.
        blocks_behind: Blocks from there to the head that was seen last.
        silent_since: Since when too few of the chain's nodes answer; null: enough do.
        stopped: Why the pool stands still; empty: it does not.
    """

    id: str
    kind: str
    state: str
    chain_id: int
    asset: str
    symbol: str
    decimals: int
    token: str
    contract: str
    rewards_contract: str | None
    share: str | None
    share_rate: str | None
    confirmations: int
    epoch_s: int
    minimum_withdrawal: Money
    reward_per_minute: Money
    weight: str
    tvl: Money
    stakers: int
    apr: str | None
    apy: str | None
    compounds: int
    reserve: Money
    reserve_lasts_s: int | None
    indexed_block: int
    blocks_behind: int
    silent_since: str | None
    stopped: str
    product: Literal["staking"] = "staking"


class StakingPoint(Model, frozen=True, kw_only=True):
    """A pool's figures at a moment; see `StakingPool`."""

    at: str
    tvl: Money
    stakers: int
    reward_per_minute: Money
    apr: str
    apy: str


class StakingHistory(Model, frozen=True, kw_only=True):
    """A pool's figures over time, oldest first; at most one point in `step_s`."""

    pool_id: str
    window: str
    step_s: int
    points: list[StakingPoint]


class Staked(Model, frozen=True, kw_only=True):
    """What a wallet has in one pool, as the chain and the statements say.

    Attributes:
        staked: In tokens; a vault's shares at their present rate.
        pending_rewards: Earned and not taken out yet.
        total_earned: Of all epochs so far.
        since: Since when it has held something without a break.
    """

    pool_id: str
    staked: Money
    pending_rewards: Money
    total_earned: Money
    since: str | None


class StakingUser(Model, frozen=True, kw_only=True):
    """What a wallet has in all pools of one token."""

    wallet: str
    asset: str
    staked: Money
    pending_rewards: Money
    total_earned: Money
    pools: list[Staked]


class Position(Model, frozen=True, kw_only=True):
    """A wallet's position in a pool.

    Attributes:
        staked: In tokens; a vault's shares at their present rate.
        units: What the contract counts for the wallet: tokens, or a vault's shares.
        unconfirmed: The same with what is not deep enough yet.
        reserved: Part of `units` that withdrawals under way will take.
        available: Part of `units` that can be asked for.
        since: Since when it has held something without a break.
    """

    pool_id: str
    wallet: str
    staked: Money
    units: Money
    unconfirmed: Money
    reserved: Money
    available: Money
    since: str | None


class Rewards(Model, frozen=True, kw_only=True):
    """A wallet's rewards in a pool.

    Attributes:
        earned: Of all epochs so far.
        claimable: Can be taken out now.
        claiming: Claims under way.
        kept: Could not be pushed; waits in the contract for the wallet to fetch.
        paid: Taken out.
        epoch: The last epoch counted; null before the first.
    """

    pool_id: str
    wallet: str
    earned: Money
    claimable: Money
    claiming: Money
    kept: Money
    paid: Money
    epoch: int | None


class RewardLine(Model, frozen=True, kw_only=True):
    """A wallet's line of an epoch.

    Attributes:
        weight: Base units of stake times the seconds they were held.
        cumulative: Earned up to and with this epoch.
    """

    epoch: int
    weight: str
    earned: Money
    cumulative: Money


class Epoch(Model, frozen=True, kw_only=True):
    """A closed epoch.

    Attributes:
        number: Counted from the first that was closed; its number on chain.
        state: closed, disputed or accepted.
        wanted: What the terms gave.
        pot: What was given: less if the pool was under-funded.
        shortfall: The difference.
        distributed: Credited to wallets in it.
        cumulative: Credited in all epochs so far.
        accounts: Lines of the statement.
        root: Merkle root of what everybody earned so far.
        statement_hash: Name of the statement; see `/statement`.
        previous: That of the epoch before.
    """

    pool_id: str
    epoch: int
    number: int
    start: str
    end: str
    state: str
    note: str
    wanted: Money
    pot: Money
    shortfall: Money
    distributed: Money
    cumulative: Money
    accounts: int
    root: str
    statement_hash: str
    previous: str
    closed_at: str


class RewardProof(Model, frozen=True, kw_only=True):
    """What proves a wallet's rewards against an epoch's root.

    Attributes:
        number: The epoch's number on chain.
        cumulative: Of all epochs; the leaf's amount.
        proof: Siblings from the leaf up (layout of StandardMerkleTree).
    """

    pool_id: str
    wallet: str
    epoch: int
    number: int
    cumulative: Money
    root: str
    proof: list[str]
    statement_hash: str


class ToSign(Model, frozen=True, kw_only=True):
    """A transaction for the wallet to sign and send; the order matters.

    Attributes:
        what: `approve`, `deposit`, `withdraw`, `redeem`, `request_redeem` or `claim`.
        sender: Who signs.
        data: 0x-hex.
        value: Wei, as decimal text.
        gas: Estimate; null where it depends on the one before.
        simulated: It was tried on the newest state and went through.
    """

    what: str
    chain_id: int
    sender: str
    to: str
    data: str
    value: str
    gas: int | None
    simulated: bool


class Deposit(Model, frozen=True, kw_only=True):
    """A deposit that passed all checks, to be signed by the wallet.

    Attributes:
        transactions: To sign and send, one after the other.
        permit: EIP-712 data (`eth_signTypedData_v4`) that may replace the approval,
            for `deposit_with_permit`; null where none is needed or the token knows none.
        allowance: What the contract may take already.
        balance: What the wallet has of the token.
    """

    pool_id: str
    wallet: str
    amount: Money
    transactions: list[ToSign]
    permit: dict[str, Any] | None
    allowance: Money
    balance: Money


class Withdrawal(Model, frozen=True, kw_only=True):
    """A withdrawal that was asked for.

    Attributes:
        state: pending, processing, completed or failed.
        reason: Why it is where it is; may be empty.
        tx_hash: The transaction that paid it or passed it over.
    """

    id: str
    pool_id: str
    wallet: str
    amount: Money
    state: str
    reason: str
    tx_hash: str | None
    block_number: int | None
    requested_at: str
    updated_at: str
    finished_at: str | None


class WithdrawalAnswer(Model, frozen=True, kw_only=True):
    """Either a withdrawal that the pool will pay, or what the wallet signs to leave itself."""

    pool_id: str
    wallet: str
    withdrawal: Withdrawal | None = None
    transactions: list[ToSign] = msgspec.field(default_factory=list)


class Claim(Model, frozen=True, kw_only=True):
    """A claim of rewards.

    Attributes:
        state: pending, processing, paid or failed.
        reason: Why it is where it is; may be empty.
        tx_hash: The transaction that paid it.
    """

    id: str
    pool_id: str
    wallet: str
    amount: Money
    state: str
    reason: str
    tx_hash: str | None
    requested_at: str
    updated_at: str
    finished_at: str | None


class ClaimAnswer(Model, frozen=True, kw_only=True):
    """Either a claim that the pool will pay, or what the wallet signs, with its proof."""

    pool_id: str
    wallet: str
    claim: Claim | None = None
    proof: RewardProof | None = None
    transactions: list[ToSign] = msgspec.field(default_factory=list)


class StakingEvent(Model, frozen=True, kw_only=True):
    """Something that moved a wallet's position.

    Attributes:
        amount: Of what moved; tokens, or a vault's shares.
        balance: What the wallet holds after it; null where no position moved.
        state: `seen` (may yet go) or `booked`.
    """

    seq: int
    kind: str
    amount: Money
    balance: Money | None
    state: str
    block_number: int
    tx_hash: str
    at: str


class PoolEvent(StakingEvent, frozen=True, kw_only=True):
    """Something that happened in a pool's contracts.

    Attributes:
        wallet: Whom it concerns; null for what concerns the pool as a whole.
    """

    wallet: str | None


class Gauge(Model, frozen=True, kw_only=True):
    """A limit with its use in base units, as text.

    Attributes:
        used: Null: nobody can say, and nothing passes.
        room: What may still pass.
        window_s: The window of time it looks at; 0: none.
    """

    rule: str
    limit: str
    used: str | None
    room: str
    window_s: int


class RiskLimits(Model, frozen=True, kw_only=True):
    """Limits of a scope in one asset.

    Attributes:
        source: `platform` (set here) or `chain` (read from the contract); the stricter holds.
        limits: What is set, by name.
        stale: They were read from the contract too long ago; they hold all the same.
    """

    scope: str
    asset: str
    source: str
    limits: dict[str, str]
    gauges: list[Gauge]
    stale: bool


class RiskHold(Model, frozen=True, kw_only=True):
    """A pause, or a breaker that tripped, that holds now.

    Attributes:
        reset_role: Who may end it.
    """

    kind: str
    scope: str
    asset: str
    held: list[str]
    reason: str
    exits_because: str
    reset_role: str
    since: str
    until: str | None


class PoolRisk(Model, frozen=True, kw_only=True):
    """What limits a pool, and what holds it.

    Attributes:
        held: Functions that are held now.
        exits_open: Whether withdrawals are not held.
    """

    pool_id: str
    held: list[str]
    exits_open: bool
    limits: list[RiskLimits]
    pauses: list[RiskHold]
    breakers: list[RiskHold]


class PoolMade(Model, frozen=True, kw_only=True):
    """A pool that was taken into service."""

    pool_id: str
    kind: str
    contract: str
    token: str
    asset: str
    created_at: str


class PoolTerms(Model, frozen=True, kw_only=True):
    """What a pool gives from an epoch on.

    Attributes:
        emission: Name of the emission that pools share; by default the pool's own.
        reward_per_minute: Of the whole emission.
        weight: The pool's part of it.
    """

    pool_id: str
    from_epoch: int
    emission: str
    reward_per_minute: Money
    weight: str


class OrderedTransaction(Model, frozen=True, kw_only=True):
    """A transaction that was ordered.

    Attributes:
        state: under_way, done, reverted or failed.
    """

    key: str
    what: str
    state: str
    tx_hash: str | None
    block_number: int | None
    reason: str


class Funding(Model, frozen=True, kw_only=True):
    """A funding that was ordered; done when its last transaction is.

    Attributes:
        order: Its name; the same one again goes on, and funds once.
        signer: Whose tokens.
    """

    pool_id: str
    order: str
    signer: str
    transactions: list[OrderedTransaction]

"""The ledger books exactly once, all or nothing, and never below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from millpond.clock import ManualClock
from millpond.money import tables
from millpond.money.accounts import Account, AccountError, AccountType
from millpond.money.amount import Asset
from millpond.money.errors import (
    BalanceMismatchError,
    InsufficientFundsError,
    InvalidTransferError,
    LedgerConflictError,
    LedgerOverflowError,
    PendingExpiredError,
    PendingResolvedError,
    UnknownPendingError,
)
from millpond.money.ledger import Ledger
from millpond.money.model import Kind, Resolution, Transfer
from millpond.store import Store
from tests.money.samples import ALICE, BOB, FEES, LTC, RISK, TOKEN, WALLET, payout, reward


@pytest.fixture
def ledger(clock: ManualClock) -> Ledger:
    return Ledger(clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_posted_transfer_moves_both_balances(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        (posted,) = await ledger.post(tx, [reward(1, 500)])
    assert posted.amount == LTC.amount(500)
    async with store.read() as tx:
        balances = await ledger.balances(tx, [WALLET, ALICE, BOB])
        assert [balances[a].posted.units for a in (WALLET, ALICE, BOB)] == [500, 500, 0]
        assert await ledger.verify(tx) == []


async def test_repeating_answers_as_the_first_time_and_another_body_conflicts(
    store: Store, ledger: Ledger, clock: ManualClock
):
    async with store.begin() as tx:
        first = await ledger.post(tx, [reward(1, 500), reward(2, 7, BOB), reward(1, 500)])
    assert first[0] == first[2]
    clock.advance(10)
    async with store.begin() as tx:
        assert await ledger.post(tx, [reward(1, 500), reward(2, 7, BOB)]) == first[:2]
        for other in (reward(1, 501), reward(1, 500, BOB)):
            with pytest.raises(LedgerConflictError):
                await ledger.post(tx, [other])
        with pytest.raises(LedgerConflictError):
            await ledger.reserve(tx, [reward(1, 500)])
        with pytest.raises(LedgerConflictError):
            await ledger.post(tx, [reward(3, 1), reward(3, 2)])
        assert (await ledger.balance(tx, ALICE)).posted.units == 500


async def test_a_reservation_is_checked_held_partly_posted_and_the_rest_returns(
    store: Store, ledger: Ledger
):
    payout = Transfer("payout-1", ALICE, WALLET, LTC.amount(300), "payout", "payout:1")
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 500)])
        await ledger.reserve(tx, [payout])
        held = await ledger.balance(tx, ALICE)
        assert (held.posted.units, held.available.units) == (500, 200)
        with pytest.raises(InsufficientFundsError) as caught:
            await ledger.post(tx, [Transfer("x", ALICE, BOB, LTC.amount(201), "gift")])
        assert caught.value.details["available"] == "200"
        await ledger.post_pending(tx, [Resolution("end-1", "payout-1", LTC.amount(100))])
    async with store.read() as tx:
        after = await ledger.balance(tx, ALICE)
        assert (after.posted.units, after.available.units) == (400, 400)
        assert await ledger.verify(tx) == []


async def test_a_batch_that_fails_books_nothing(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        with pytest.raises(InsufficientFundsError):
            await ledger.post(tx, [reward(1, 500), payout(1, 501)])
    async with store.read() as tx:
        assert (await ledger.balance(tx, ALICE)).posted.units == 0
        assert await ledger.statement(tx, ALICE) == []


async def test_transfers_of_one_batch_build_on_each_other(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        booked = await ledger.post(tx, [reward(1, 500), payout(1, 500), reward(2, 1)])
    assert [posted.seq for posted in booked] == sorted(posted.seq for posted in booked)
    async with store.read() as tx:
        lines = await ledger.statement(tx, ALICE)
    assert [(line.change.units, line.balance.units) for line in lines] == [
        (500, 500),
        (-500, 0),
        (1, 1),
    ]


async def test_immature_rewards_mature_or_are_orphaned(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        await ledger.reserve(tx, [reward(1, 500), reward(2, 70), reward(3, 30, FEES)])
        immature = await ledger.balance(tx, ALICE)
        assert (immature.incoming.units, immature.available.units) == (570, 0)
        with pytest.raises(InsufficientFundsError):
            await ledger.reserve(tx, [payout(1, 1)])
        await ledger.post_pending(tx, [Resolution("m1", "reward-1")])
        (void,) = await ledger.void_pending(tx, [Resolution("v2", "reward-2")])
        assert (void.kind, void.amount.units, void.pending_id) == (Kind.VOID, 70, "reward-2")
        balance = await ledger.balance(tx, ALICE)
        assert (balance.posted.units, balance.incoming.units) == (500, 0)
        found = await ledger.transfers_by_reference(tx, "block:00")
        assert [posted.id for posted in found] == ["reward-1", "reward-2", "reward-3", "m1", "v2"]
        assert (await ledger.resolution_of(tx, "reward-2")) == void
        assert (await ledger.resolution_of(tx, "reward-3")) is None
        assert (await ledger.transfer(tx, "v2")) == void


async def test_a_pending_transfer_ends_once(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        await ledger.reserve(tx, [reward(1, 500)])
        first = await ledger.post_pending(tx, [Resolution("end", "reward-1", LTC.amount(400))])
        assert (
            await ledger.post_pending(tx, [Resolution("end", "reward-1", LTC.amount(400))]) == first
        )
        with pytest.raises(PendingResolvedError):
            await ledger.void_pending(tx, [Resolution("other", "reward-1")])
        with pytest.raises(LedgerConflictError):
            await ledger.post_pending(tx, [Resolution("end", "reward-1")])
        for unknown in ("nothing", "end"):
            with pytest.raises(UnknownPendingError):
                await ledger.void_pending(tx, [Resolution("x", unknown)])


async def test_time_out_returns_what_was_reserved(store: Store, ledger: Ledger, clock: ManualClock):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 500)])
        (held,) = await ledger.reserve(tx, [payout(1, 500)], timeout_ms=1000)
        await ledger.reserve(tx, [reward(2, 5)])
        assert held.expires_ms == clock.now_ms() + 1000
        clock.advance(0.999)
        assert await ledger.expire_pending(tx) == []
        clock.advance(0.001)
        with pytest.raises(PendingExpiredError):
            await ledger.post_pending(tx, [Resolution("late", "payout-1")])
        assert await ledger.expire_pending(tx) == ["payout-1"]
        assert await ledger.expire_pending(tx) == []
        assert (await ledger.balance(tx, ALICE)).available.units == 500
        end = await ledger.resolution_of(tx, "payout-1")
        assert end is not None
        assert (end.kind, end.amount.units) == (Kind.EXPIRED, 500)


async def test_equity_may_owe_and_an_asset_opened_with_overdraft_too(store: Store, ledger: Ledger):
    exchange = Account(AccountType.ASSET, "pool/x", "exchange", LTC)
    spend = Transfer("s", ALICE, exchange, LTC.amount(9), "spend")
    async with store.begin() as tx:
        await ledger.post(tx, [Transfer("p", RISK, ALICE, LTC.amount(9), "pps")])
        assert (await ledger.balance(tx, RISK)).posted.units == -9
        with pytest.raises(InsufficientFundsError):
            await ledger.post(tx, [spend])
    async with store.begin() as tx:
        with pytest.raises(LedgerConflictError):
            await ledger.open_account(tx, WALLET, overdraft=True)
            await ledger.open_account(tx, WALLET)
        margin = Account(AccountType.ASSET, "pool/x", "margin", LTC)
        await ledger.open_account(tx, margin, overdraft=True)
        await ledger.open_account(tx, margin, overdraft=True)
        await ledger.post(tx, [Transfer("s2", ALICE, margin, LTC.amount(9), "spend")])
        assert (await ledger.balance(tx, margin)).posted.units == -9
        with pytest.raises(InvalidTransferError):
            await ledger.open_account(tx, BOB, overdraft=True)
        assert await ledger.verify(tx) == []


async def test_amounts_of_any_size_add_up_exactly(store: Store, ledger: Ledger):
    vault = Account(AccountType.ASSET, "pool/btcd", "vault", TOKEN)
    staker = Account(AccountType.LIABILITY, "staker/0xabc", "stake", TOKEN)
    huge = 10**77 + 1
    async with store.begin() as tx:
        for number in range(9):
            await ledger.post(
                tx, [Transfer(f"h{number}", vault, staker, TOKEN.amount(huge), "stake")]
            )
        assert (await ledger.balance(tx, staker)).posted.units == 9 * huge
        with pytest.raises(LedgerOverflowError):
            await ledger.post(tx, [Transfer("h9", vault, staker, TOKEN.amount(huge), "stake")])
        assert await ledger.verify(tx) == []


async def test_an_asset_has_one_number_of_decimals(store: Store, ledger: Ledger):
    wei = Asset("LTC", 18)
    other = Account(AccountType.ASSET, "pool/litecoin", "wallet", wei)
    third = Account(AccountType.ASSET, "pool/other", "wallet", wei)
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        with pytest.raises(LedgerConflictError, match="decimals"):
            await ledger.post(tx, [Transfer("w", other, third, wei.amount(1), "x")])


async def test_one_call_cannot_count_an_asset_in_two_ways(store: Store, ledger: Ledger):
    wei = Asset("LTC", 18)
    same = Account(WALLET.type, WALLET.owner, WALLET.name, wei)
    other = Account(ALICE.type, ALICE.owner, ALICE.name, wei)
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        with pytest.raises(LedgerConflictError, match="decimals"):
            await ledger.post(
                tx, [reward(2, 5), Transfer("w", same, other, wei.amount(1), "reward")]
            )
        assert await ledger.verify(tx) == []


@pytest.mark.parametrize(
    "transfer",
    [
        Transfer("", WALLET, ALICE, LTC.amount(1), "x"),
        Transfer("a b", WALLET, ALICE, LTC.amount(1), "x"),
        Transfer("x" * 129, WALLET, ALICE, LTC.amount(1), "x"),
        Transfer("expired:t1", WALLET, ALICE, LTC.amount(1), "x"),
        Transfer("t", WALLET, ALICE, LTC.amount(0), "x"),
        Transfer("t", WALLET, ALICE, LTC.amount(-1), "x"),
        Transfer("t", WALLET, WALLET, LTC.amount(1), "x"),
        Transfer("t", WALLET, ALICE, TOKEN.amount(1), "x"),
        Transfer("t", WALLET, ALICE, LTC.amount(1), "No Code"),
        Transfer("t", WALLET, ALICE, LTC.amount(1), "x", "y" * 257),
    ],
)
async def test_what_no_ledger_could_book_is_refused(transfer: Transfer, store: Store, ledger):
    async with store.begin() as tx:
        with pytest.raises(InvalidTransferError):
            await ledger.post(tx, [transfer])


async def test_a_wrong_balance_assertion_complains_and_is_kept_if_wanted(
    store: Store, ledger: Ledger
):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        await ledger.assert_balance(tx, WALLET, LTC.amount(5), source="daemon")
        with pytest.raises(BalanceMismatchError) as caught:
            await ledger.assert_balance(tx, WALLET, LTC.amount(6), source="daemon")
    assert caught.value.details["found"] == "5"
    async with store.read() as tx:
        rows = (await tx.execute(select(tables.assertions))).all()
    assert [(row.expected, row.found, row.holds) for row in rows] == [(5, 5, True), (6, 5, False)]


async def test_accounts_are_listed_by_page_and_by_what_they_are(store: Store, ledger: Ledger):
    miners = [Account(AccountType.LIABILITY, f"miner/m{n}", "balance", LTC) for n in range(7)]
    upper = Account(AccountType.LIABILITY, "MINER/M1", "balance", LTC)
    async with store.begin() as tx:
        batch = [reward(n, n + 1, miner) for n, miner in enumerate([*miners, upper])]
        await ledger.post(tx, batch)
        first = await ledger.accounts(tx, owner_prefix="miner/", limit=4)
        rest = await ledger.accounts(tx, owner_prefix="miner/", limit=4, after=first[-1][0])
        listed = dict(first + rest)
        assert set(listed) == set(miners)
        assert listed[miners[3]].posted.units == 4
        (only,) = await ledger.accounts(tx, type=AccountType.ASSET, asset=LTC, name="wallet")
        assert only[0] == WALLET
        assert [a for a, _ in await ledger.accounts(tx, owner="miner/m2")] == [miners[2]]
        assert await ledger.accounts(tx, asset=TOKEN) == []


async def test_statements_come_in_pages(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(n, n) for n in range(1, 11)])
        await ledger.reserve(tx, [payout(1, 5)])
        first = await ledger.statement(tx, WALLET, limit=6)
        rest = await ledger.statement(tx, WALLET, after=first[-1].transfer.seq, limit=6)
        assert [line.balance.units for line in first] == [1, 3, 6, 10, 15, 21]
        assert [line.balance.units for line in rest] == [28, 36, 45, 55, 55]
        assert rest[-1].change.units == 0


async def test_the_trial_balance_adds_up(store: Store, ledger: Ledger):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 500), reward(2, 7, BOB), reward(3, 3, FEES)])
        lines = {line.type: line for line in await ledger.trial_balance(tx)}
    assert lines[AccountType.ASSET].balance.posted.units == 510
    assert lines[AccountType.LIABILITY].accounts == 2
    assert lines[AccountType.LIABILITY].balance.posted.units == 507
    assert lines[AccountType.INCOME].balance.posted.units == 3


@pytest.mark.parametrize(
    "statement",
    [
        update(tables.transfers).values(amount=1),
        delete(tables.transfers),
        update(tables.accounts).values(owner="thief"),
        delete(tables.accounts),
        update(tables.accounts).values(available=-1),
        update(tables.accounts).values(credits_posted=-5),
        delete(tables.assertions),
        update(tables.assertions).values(found=0),
    ],
    ids=str,
)
async def test_the_database_refuses_to_rewrite_history(statement, store: Store, ledger: Ledger):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        await ledger.assert_balance(tx, ALICE, LTC.amount(5), source="test")
    with pytest.raises(DBAPIError):
        async with store.begin() as tx:
            await tx.execute(statement)
    async with store.read() as tx:
        assert await ledger.verify(tx) == []


async def test_the_database_refuses_a_transfer_between_assets(store: Store, ledger: Ledger):
    vault = Account(AccountType.ASSET, "pool/btcd", "vault", TOKEN)
    staker = Account(AccountType.LIABILITY, "staker/0xabc", "stake", TOKEN)
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        await ledger.post(tx, [Transfer("h", vault, staker, TOKEN.amount(1), "stake")])
        found = await tx.execute(select(tables.accounts.c.path, tables.accounts.c.id))
        ids = {row.path: row.id for row in found}
    row = {
        "seq": 99, "id": "forged", "kind": "posted", "asset": "LTC", "amount": 1,
        "debit_id": ids[WALLET.path], "credit_id": ids[staker.path],
        "debit_after": 0, "credit_after": 0, "code": "x", "reference": "", "created_ms": 1,
    }  # fmt: skip
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        async with store.begin() as tx:
            await tx.execute(insert(tables.transfers).values(row))


_WRONG_SUM = "update ledger_account set debits_posted = '7', available = '7' where type = 'asset'"
_FORGERY = """
insert into ledger_transfer
select 50, 'forged', 'posted', credit_id, debit_id, asset, '6', '0', '0', code, reference,
       null, null, created_ms
  from ledger_transfer where id = 'reward-1'
"""


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (_WRONG_SUM, "asset_posted"),
        (_WRONG_SUM, "debits_posted"),
        ("delete from ledger_pending", "open_pending"),
        ("update ledger_pending set expires_ms = 5", "open_pending"),
        (_FORGERY, "below_zero"),
        (_FORGERY, "running_balance"),
    ],
)
async def test_verify_names_what_somebody_damaged(
    damage: str, kind: str, store: Store, ledger: Ledger
):
    async with store.begin() as tx:
        await ledger.post(tx, [reward(1, 5)])
        await ledger.reserve(tx, [reward(2, 5)])
        assert await ledger.verify(tx) == []
        if store.dialect == "postgresql":
            damage = damage.replace("'7'", "7").replace("'6', '0', '0'", "6, 0, 0")
        await tx.execute(text(damage))
        assert kind in {found.kind for found in await ledger.verify(tx)}


words = st.text(st.characters(exclude_categories=["Cc", "Zs", "Zl", "Zp", "Cs"]), min_size=1)


@given(
    st.sampled_from(AccountType),
    words.filter(lambda owner: len(owner) <= 200 and not any(c.isspace() for c in owner)),
    st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,63}", fullmatch=True),
    st.sampled_from([LTC, TOKEN]),
)
def test_account_paths_read_back(kind: AccountType, owner: str, name: str, asset: Asset):
    account = Account(kind, owner, name, asset)
    assert Account.parse(account.path, decimals=asset.decimals) == account


@pytest.mark.parametrize(
    "path", ["", "a:b:c", "purse:miner/x:balance:LTC", "asset:a b:wallet:LTC", "asset:a:W:LTC",
             "asset:a:wallet:L T"],
)  # fmt: skip
def test_other_texts_are_no_account_paths(path: str):
    with pytest.raises(AccountError):
        Account.parse(path, decimals=8)

"""Staking with a browser wallet, in a real Chromium, on a real node."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from millpond.alerts import Severity
from millpond.chains.evm.contracts import Contract
from millpond.risk import HoldKind, Limits, Scope
from millpond.staking.pools import PoolKind
from tests.support.evm_nodes import ACCOUNTS
from tests.web.browser_wallet import BrowserWallet
from tests.web.looking import CONTRAST, PHONE, WIDE, fits
from tests.web.staking_world import ANN, BEN, DIRECT, KEY, ONE, VAULT, World, staking_world


@dataclass
class Seen:
    """A page of the world, what a person does on it, and what went wrong."""

    world: World
    page: Page
    wallet: BrowserWallet
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    refusals: bool = False

    def hear(self, message: ConsoleMessage) -> None:
        # The browser itself notes each answer of the API that is a refusal.
        url = message.location.get("url", "")
        expected = self.refusals and urlsplit(url).path.startswith(("/api/v1/", "/admin/live"))
        if message.type == "error" and not expected:
            self.faults.append(message.text)

    async def go(self, path: str) -> None:
        await self.page.goto(self.world.url + path, wait_until="load")

    async def connect(self, pool_id: str) -> None:
        await self.go(f"/staking/{pool_id}")
        await self.page.get_by_role("button", name="Connect wallet").click()
        await expect(self.figure("staked")).to_be_visible()

    def figure(self, name: str) -> Locator:
        return self.page.locator(f'#mine [data-figure="{name}"]')

    async def fill(self, form: str, amount: str, button: str) -> None:
        await self.page.locator(f'[data-tab="{form}"]').click()
        place = self.page.locator(f'form[data-act="{form}"]')
        if amount:
            await place.locator("input").fill(amount)
        await place.get_by_role("button", name=button, exact=True).click()

    async def sign(self) -> None:
        await self.page.locator("[data-sign]").click()

    def step(self, name: str) -> Locator:
        return self.page.locator(f'[data-step="{name}"]')

    @property
    def requests(self) -> Locator:
        return self.page.locator("#mine [data-requests]")

    @property
    def outcome(self) -> Locator:
        return self.page.locator("#mine .outcome")


@contextlib.asynccontextmanager
async def seen(
    chromium: Browser, world: World, size=WIDE, *, scheme="dark", scripts=True
) -> AsyncIterator[Seen]:
    context = await chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=scripts,
    )
    wallet = BrowserWallet(world.node, ACCOUNTS[ANN])
    if scripts:
        await wallet.put_into(context)
    page = await context.new_page()
    wallet.watch(page)
    found = Seen(world, page, wallet)
    page.on("console", found.hear)
    page.on("pageerror", lambda error: found.faults.append(str(error)))
    page.on("request", lambda request: found.hosts.add(urlsplit(request.url).netloc))
    yield found
    await context.close()
    assert found.faults == []
    assert found.hosts == {urlsplit(world.url).netloc}, "a request left the site"


async def test_a_stake_from_the_first_click_to_the_last_payment(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world,
        seen(chromium, world) as s,
    ):
        await s.connect(DIRECT)
        await s.fill("deposit", "250.5", "Deposit")
        await expect(s.page.locator(".tosign")).to_have_count(2)
        await expect(s.page.locator(".tosign").first).to_contain_text("yes, it goes through")
        assert s.wallet.asked == ["eth_requestAccounts", "personal_sign"], "nothing signed unseen"
        await s.sign()
        await expect(s.step("approve")).to_have_attribute("data-state", "done")
        await expect(s.step("deposit")).to_contain_text("1 of 2 confirmations")
        # A reload in the middle loses nothing.
        await s.page.reload()
        await expect(s.step("deposit")).to_contain_text("1 of 2 confirmations")
        await world.confirm()
        await expect(s.outcome).to_contain_text("Confirmed")
        await expect(s.figure("staked")).to_contain_text("250.5")
        await expect(s.page.locator("#pool-top .lead")).to_contain_text("250.5")
        await expect(s.page.locator("#pool-events tbody tr").first).to_contain_text("Deposit")

        await world.reward()
        await s.page.reload()
        await expect(s.page.locator("#pool-epochs tbody tr").first).to_contain_text("2 BTCD")
        await s.page.get_by_role("button", name="Sign in to see requests under way").click()
        await expect(s.figure("claimable")).not_to_have_attribute("data-amount", "0")
        earned = float(await s.figure("claimable").get_attribute("data-amount") or 0)
        await s.fill("claim", "", "Take rewards")
        await expect(s.outcome).to_contain_text("next batch")
        await s.fill("withdraw", "100", "Ask the pool")
        await expect(s.requests).to_contain_text("pending")
        await world.settle()
        await expect(s.requests).to_contain_text("completed")
        await expect(s.requests).to_contain_text("paid")
        await expect(s.figure("staked")).to_contain_text("150.5")
        assert world.tokens(ANN) / ONE == pytest.approx(1_000 - 150.5 + earned)

        # The rest without the pool's help.
        await s.page.locator('[data-tab="withdraw"]').click()
        await s.page.get_by_role("button", name="All", exact=True).click()
        await s.fill("withdraw", "", "Withdraw on chain")
        await s.sign()
        await expect(s.step("withdraw")).to_have_attribute("data-state", "waiting")
        await world.confirm()
        await expect(s.outcome).to_contain_text("Confirmed")
        await expect(s.figure("staked")).to_contain_text("0 BTCD")
        assert world.tokens(ANN) / ONE == pytest.approx(1_000 + earned)
        assert s.wallet.asked.count("personal_sign") == 2, "one session a page load that acts"


async def test_a_vault_on_a_phone(chromium: Browser, tmp_path: Path, sqlite_template: Path):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.VAULT,)) as world,
        seen(chromium, world, PHONE, scheme="light") as s,
    ):
        await s.connect(VAULT)
        await s.fill("deposit", "80", "Deposit")
        await s.sign()
        await expect(s.step("deposit")).to_have_attribute("data-state", "waiting")
        assert await fits(s.page)
        await world.confirm()
        await expect(s.figure("staked")).to_contain_text("80 BTCD")
        await world.reward()
        await s.fill("claim", "", "Take rewards")
        await expect(s.page.locator(".tosign")).to_contain_text("yes, it goes through")
        await s.sign()
        await expect(s.step("claim")).to_have_attribute("data-state", "waiting")
        await world.confirm()
        await expect(s.outcome).to_contain_text("Confirmed")
        assert world.tokens(ANN) > 920 * ONE
        await s.page.locator('[data-tab="withdraw"]').click()
        await s.page.get_by_role("button", name="All", exact=True).click()
        await s.fill("withdraw", "", "Redeem")
        await s.sign()
        await expect(s.step("redeem")).to_have_attribute("data-state", "waiting")
        await world.confirm()
        await expect(s.figure("staked")).to_contain_text("0 BTCD")
        assert world.tokens(ANN) > 999 * ONE
        assert await fits(s.page)
        assert await s.page.evaluate(CONTRAST) == []


async def test_what_goes_wrong_is_said_in_plain_words(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world,
        seen(chromium, world) as s,
    ):
        s.refusals = True
        await s.go(f"/staking/{DIRECT}")
        s.wallet.refuse = True
        await s.page.get_by_role("button", name="Connect wallet").click()
        await expect(s.page.locator("[data-said]")).to_contain_text("You rejected the request")

        s.wallet.chain_id = 1
        await s.page.get_by_role("button", name="Connect wallet").click()
        await expect(s.page.locator("[data-wrong-chain]")).to_contain_text("on chain 1.")
        await expect(s.page.locator("[data-acts]")).to_be_hidden()
        await s.page.get_by_role("button", name=f"Switch to chain {world.node.chain_id}").click()
        await expect(s.page.locator("[data-wrong-chain]")).to_be_hidden()

        await s.fill("deposit", "nothing", "Deposit")
        await expect(s.outcome).to_contain_text("Give an amount above zero")
        s.wallet.refuse = True
        await s.fill("deposit", "5", "Deposit")
        await expect(s.outcome).to_contain_text("You rejected the request in your wallet")
        await s.fill("deposit", "5000", "Deposit")
        await expect(s.outcome).to_contain_text("The wallet has 1000")
        await s.fill("withdraw", "5", "Ask the pool")
        await expect(s.outcome).to_contain_text("staked and free")

        await s.fill("deposit", "5", "Deposit")
        s.wallet.refuse = True
        await s.sign()
        await expect(s.outcome).to_contain_text("Nothing was sent")
        await expect(s.step("approve")).to_have_attribute("data-state", "failed")

        # Tried and good when it was prepared; the contract is paused before it is mined.
        world.node.automine(False)
        await s.fill("deposit", "5", "Deposit")
        await s.sign()
        await expect(s.step("approve")).to_contain_text("waiting for a block")
        world.node.mine()
        await expect(s.step("deposit")).to_contain_text("waiting for a block")
        pool = Contract.named("StakingPool", world.pools[DIRECT].contract)
        data = pool.encode("pause", 1, 0)
        world.node.send(
            ACCOUNTS[0],
            to=pool.address,
            data=data,
            gas=200_000,
            max_fee=10**11,
            max_priority_fee=10**10,
        )
        world.node.mine()
        await expect(s.outcome).to_contain_text("the contract refused it: paused")
        await expect(s.step("deposit")).to_have_attribute("data-state", "failed")
        world.node.automine(True)

        await s.wallet.move(5)
        await expect(s.page.locator("[data-wrong-chain]")).to_contain_text("on chain 5.")
        await s.page.get_by_role("button", name="Disconnect").click()
        await expect(s.page.get_by_role("button", name="Connect wallet")).to_be_visible()


async def test_staking_reads_without_scripts_and_has_contrast(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world:
        world.stake(BEN, DIRECT, 40)
        await world.confirm()
        await world.reward()
        paths = ["/staking", f"/staking/{DIRECT}", f"/staking/wallets/{ACCOUNTS[BEN].address}"]
        async with seen(chromium, world, PHONE, scripts=False) as s:
            for path in paths:
                await s.go(path)
                assert await fits(s.page)
                assert "40 BTCD" in await s.page.inner_text("main")
                buttons = await s.page.locator("main button:visible").count()
                assert buttons == (1 if path == "/staking" else 0), "no control that does nothing"
        async with seen(chromium, world) as s:
            for path in paths:
                for scheme in ("dark", "light"):
                    await s.page.emulate_media(color_scheme=scheme)
                    await s.go(path)
                    assert await s.page.evaluate(CONTRAST) == []
            await s.go(f"/staking/{DIRECT}")
            async with s.page.expect_download() as download:
                await s.page.get_by_role("link", name="Download").first.click()
            name = (await download.value).suggested_filename
            assert name.startswith(DIRECT)
            assert name.endswith(".json")


async def test_the_operator_pauses_a_pool_and_everybody_sees_it(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world,
        seen(chromium, world) as user,
        seen(chromium, world, PHONE, scheme="light") as s,
    ):
        user.refusals = s.refusals = True
        async with world.store.begin() as tx:
            await world.rooms.alerts.raise_(
                tx, "oracle_stale", "BTCD/USD", Severity.WARNING, "the feed is two hours old"
            )
        await user.connect(DIRECT)
        await s.go("/admin")
        await enter(s, "wrong")
        await expect(s.page.get_by_role("alert")).to_contain_text("not the operator's key")
        await enter(s, KEY)

        pool = s.page.locator(f"#admin-{DIRECT}")
        await pool.locator("summary", has_text="Pause").click()
        await pool.get_by_label("Reason").first.fill("we look into something")
        await pool.get_by_label("Until").select_option("3600")
        await pool.get_by_role("button", name="Pause").click()
        await expect(s.page.locator("#desk-said")).to_contain_text("Paused.")
        await expect(user.page.locator("#pool-top")).to_contain_text("We look into something.")
        await expect(user.page.locator("#pool-top")).to_contain_text("Withdrawals stay open")
        deposit = user.page.locator('form[data-act="deposit"]')
        await expect(deposit.get_by_role("button", name="Deposit")).to_be_disabled()
        await expect(deposit).to_contain_text("takes no deposits now")

        await pool.locator("summary", has_text="Resume").click()
        await (
            pool.get_by_role("button", name="Resume")
            .locator("xpath=ancestor::form")
            .get_by_label("Reason")
            .fill("it was nothing")
        )
        await pool.get_by_role("button", name="Resume").click()
        await expect(s.page.locator("#desk-said")).to_contain_text("Resumed.")
        await expect(deposit.get_by_role("button", name="Deposit")).to_be_enabled()

        await pool.locator("summary", has_text="Limits").click()
        await pool.get_by_label("A single deposit").fill("10")
        form = pool.locator("form[data-limits]")
        await form.get_by_label("Reason").fill("carefully at first")
        await form.get_by_role("button", name="Set the limits").click()
        await expect(s.page.locator("#desk-said")).to_contain_text("Limits set.")
        await user.fill("deposit", "50", "Deposit")
        await expect(user.outcome).to_contain_text("10")
        assert await fits(s.page)

        for part, words in {
            "Risk": "deposit cap",
            "Alerts": "The feed is two hours old.",
            "Prices": "No price is configured",
            "Tasks": "no task is known",
            "Trail": "it was nothing",
        }.items():
            await s.page.get_by_role("button", name=part, exact=True).click()
            await expect(s.page.locator("#desk-body")).to_contain_text(words)
            assert await fits(s.page), part
            assert await s.page.evaluate(CONTRAST) == []
        await s.page.get_by_role("button", name="Alerts", exact=True).click()
        await s.page.get_by_role("button", name="Acknowledge oracle_stale of BTCD/USD").click()
        await expect(s.page.locator("#desk-body")).to_contain_text("operator:ann")
        await s.page.get_by_role("button", name="Forget the key").click()
        await expect(s.page.locator("#desk-body")).to_be_empty()


async def test_the_operator_sets_terms_funds_and_ends_what_has_tripped(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world,
        seen(chromium, world) as s,
    ):
        scope, risk = Scope.pool(DIRECT), world.rooms.risk
        async with world.store.begin() as tx:
            await risk.set_limits(tx, "test", scope, "BTCD", Limits(rate_jump_bps=500))
            await risk.trip(tx, HoldKind.RATE_JUMP, scope, "the rate of exchange jumped")
        world.stake(ANN, DIRECT, 100)
        await world.confirm()
        await s.go("/admin")
        await enter(s, KEY)
        pool = s.page.locator(f"#admin-{DIRECT}")
        said = s.page.locator("#desk-said")

        async def act(title: str, button: str, fields: dict[str, str], answer: str) -> None:
            await pool.locator("summary", has_text=title).click()
            form = pool.locator("details[open] form")
            for label, text in fields.items():
                await form.get_by_label(label).fill(text)
            await form.get_by_role("button", name=button).click()
            await expect(said).to_contain_text(answer)

        why = {"Reason": "as agreed"}
        await act("Reward rate", "Set the rate", {"a minute": "3.5"} | why, "Set, from the next")
        await act("Weight", "Set the weight", {"Part of": "0.25"} | why, "Set, from the next")
        order = {"of the operator's own": "12.5", "Name of this order": "second"}
        await act("Fund rewards", "Order the funding", order, "A worker with the key sends it.")
        before = await world.funded(DIRECT)
        await world.settle()
        assert await world.funded(DIRECT) - before == 12 * ONE + ONE // 2
        await expect(pool).to_contain_text("0.250000")
        caps = {"Staked in all": "1000.5", "Staked by one wallet": "600"}
        await act("Limits", "Set the limits", caps | why, "Limits set.")
        await expect(said).to_be_in_viewport()
        async with world.store.read() as tx:
            kept = await risk.limits(tx, scope, "BTCD")
        assert kept == Limits(tvl_cap=1000 * ONE + ONE // 2, user_cap=600 * ONE, rate_jump_bps=500)

        await s.page.get_by_role("button", name="Risk", exact=True).click()
        hold = s.page.locator("[id^=hold-]", has_text="rate jump")
        await expect(hold).to_contain_text("tripped")
        await hold.locator("summary", has_text="End").click()
        await hold.get_by_label("Reason").fill("the feed was wrong")
        await hold.get_by_role("button", name="End").click()
        await expect(said).to_contain_text("Ended.")
        await expect(hold).to_contain_text("ended by operator:ann: the feed was wrong")
        async with world.store.read() as tx:
            assert (await risk.status(tx, scope)).breakers == ()
        await s.page.get_by_role("button", name="Trail", exact=True).click()
        await expect(s.page.locator("#desk-body")).to_contain_text("the feed was wrong")
        await s.go(f"/staking/{DIRECT}")
        await expect(s.page.locator("#pool-limits tr", has_text="600")).to_contain_text("\u2013")


async def test_a_chain_that_cannot_be_read_is_said_to_everybody(
    chromium: Browser, tmp_path: Path, sqlite_template: Path
):
    async with (
        staking_world(tmp_path, sqlite_template, (PoolKind.DIRECT,)) as world,
        seen(chromium, world) as s,
    ):
        await s.go(f"/staking/{DIRECT}")
        await expect(s.page.locator("#pool-top")).not_to_contain_text("cannot be read")
        world.node.stop()
        silence = world.room.silence
        for _ in range(2):
            await silence.check()
        world.clock.shift_ms += 61_000
        await silence.check()
        await expect(s.page.locator("#pool-top")).to_contain_text("The chain cannot be read")
        async with world.store.read() as tx:
            opened = await world.rooms.alerts.open(tx, kinds=["evm_nodes_silent"])
        assert [alert.subject for alert in opened] == [f"chain {world.room.chain_id}"]


async def enter(s: Seen, key: str) -> None:
    await s.page.get_by_label("The operator's key").fill(key)
    await s.page.get_by_label("Your name, for the trail").fill("ann")
    await s.page.get_by_role("button", name="Open").click()

"""The pages in a real Chromium on a real server, wide and at 390 pixels."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Route, expect

from millpond.api.settings import ApiSettings
from millpond.ops.system import SystemClock
from tests.api.sample import WALLET, SampleReads, block_at, money
from tests.api.test_shell import sample_deps
from tests.web.looking import CONTRAST, PHONE, WIDE, fits
from tests.web.serving import serving

DRAWN = """() => { const c = document.querySelector('.uplot canvas');
  const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 3; i < data.length; i += 4) if (data[i]) n += 1; return n; }"""


@dataclass
class Watched:
    """A page and everything that went wrong or outside on it."""

    page: Page
    url: str
    reads: SampleReads
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)


async def arrive_late(route: Route) -> None:
    """Let a file come after everything else of its page."""
    await asyncio.sleep(1.5)
    await route.continue_()


@contextlib.asynccontextmanager
async def visit(
    chromium: Browser,
    tmp_path,
    size=WIDE,
    *,
    path="/",
    reads=None,
    scripts=True,
    scheme="dark",
    late="",
) -> AsyncIterator[Watched]:
    reads = reads or SampleReads()
    settings = ApiSettings(port=0, poll_interval_s=0.05)
    deps = await sample_deps(tmp_path, reads=reads, settings=settings, clock=SystemClock())
    try:
        async with serving(deps) as url:
            context = await chromium.new_context(
                viewport={"width": size[0], "height": size[1]},
                java_script_enabled=scripts,
                color_scheme=scheme,
            )
            page = await context.new_page()
            watched = Watched(page, url, reads)
            page.on("console", watched.hear)
            page.on("pageerror", lambda e: watched.faults.append(str(e)))
            page.on("request", lambda r: watched.hosts.add(urlsplit(r.url).netloc))
            if late:
                await page.route(f"**/{late}*", arrive_late)
            await page.goto(url + path, wait_until="load")
            yield watched
            await context.close()
            assert watched.faults == []
            assert watched.hosts == {urlsplit(url).netloc}, "a request left the site"
    finally:
        await deps.store.close()


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_the_first_page_draws_its_graph_and_fits(chromium, tmp_path, size):
    async with visit(chromium, tmp_path, size) as v:
        await v.page.wait_for_selector(".uplot canvas")
        assert await v.page.evaluate(DRAWN) > 2_000
        assert await fits(v.page)
        await expect(v.page.locator("#t-hashrate")).to_contain_text("3.42 GH/s")
        await expect(v.page.locator("#blocks-body tbody tr")).to_have_count(8)
        await v.page.get_by_role("button", name="1 h", exact=True).click()
        await expect(v.page.locator("[data-graph-note]")).to_contain_text("slices of 1 min")


@pytest.mark.parametrize("late", ["", "hx-sse.min.js", "htmx.min.js", "app.js"])
async def test_a_change_arrives_without_reloading(chromium, tmp_path, late):
    async with visit(chromium, tmp_path, late=late) as v:
        await v.page.evaluate("window.stayed = true")
        stats = msgspec.structs.replace(v.reads.pool.stats, pool_hashrate=7.5e12)
        v.reads.pool = msgspec.structs.replace(v.reads.pool, stats=stats)
        v.reads.block_rows.insert(0, block_at(2024, confirmations=0, effort=0.5))
        await expect(v.page.locator("#t-hashrate")).to_contain_text("7.50 TH/s")
        await expect(v.page.locator("#blocks-body tbody tr").first).to_contain_text("024")
        await expect(v.page.locator("#blocks-body tbody tr.fresh")).to_have_count(1)
        v.reads.block_rows[0] = msgspec.structs.replace(v.reads.block_rows[0], confirmations=3)
        await expect(v.page.locator("#blocks-body progress").first).to_have_attribute("value", "3")
        assert await v.page.evaluate("window.stayed")


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_looking_a_miner_up(chromium, tmp_path, size):
    async with visit(chromium, tmp_path, size) as v:
        await v.page.get_by_label("Your payout address").fill(f"{WALLET}.rig-1")
        await v.page.keyboard.press("Enter")
        await v.page.wait_for_url(f"{v.url}/miners/{WALLET}")
        await expect(v.page.locator(".lead")).to_contain_text("8.44100021")
        await v.page.wait_for_selector(".uplot canvas")
        assert await fits(v.page)
        link = v.page.get_by_role("link", name="1\u202f011")
        await link.click()
        await expect(v.page.get_by_role("heading", level=1)).to_contain_text("Block 1")
        assert await fits(v.page)


async def test_a_miners_page_is_live_and_keeps_its_graph(chromium, tmp_path):
    async with visit(chromium, tmp_path, path=f"/miners/{WALLET}") as v:
        await v.page.wait_for_selector(".uplot canvas")
        v.reads.worker_rows[0] = msgspec.structs.replace(v.reads.worker_rows[0], shares_24h=77_777)
        await expect(v.page.locator("#worker-1")).to_contain_text("77\u202f777", timeout=15_000)
        assert await v.page.locator(".uplot canvas").count() == 1


async def test_keys_alone_reach_everything_and_show_where_one_is(chromium, tmp_path):
    async with visit(chromium, tmp_path) as v:
        seen = []
        for _ in range(12):
            await v.page.keyboard.press("Tab")
            seen.append(
                await v.page.evaluate(
                    """() => { const e = document.activeElement, s = getComputedStyle(e);
                    return [e.textContent.trim() || e.id, s.outlineStyle, parseFloat(s.outlineWidth)]; }"""
                )
            )
        assert seen[0][0] == "Skip to content"
        assert "find-wallet" in [name for name, _, _ in seen]
        assert all(style == "solid" and width >= 2 for _, style, width in seen)


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_text_has_contrast_in_both_themes(chromium, tmp_path, scheme):
    async with visit(chromium, tmp_path, scheme=scheme) as v:
        assert await v.page.evaluate(CONTRAST) == []
        toggle = v.page.get_by_role("button", name="Switch between dark and light")
        before = await v.page.evaluate("getComputedStyle(document.body).backgroundColor")
        await toggle.click()
        after = await v.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert before != after
        assert await v.page.evaluate(CONTRAST) == []
        await v.page.reload()
        kept = await v.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert kept == after, "the choice is remembered"


@pytest.mark.parametrize("path", ["/", f"/miners/{WALLET}", f"/blocks/{1011:064x}"])
async def test_everything_reads_without_scripts(chromium, tmp_path, path):
    async with visit(chromium, tmp_path, PHONE, path=path, scripts=False) as v:
        assert await fits(v.page)
        text = await v.page.inner_text("main")
        assert "UTC" in text, "times are exact where nothing can make them relative"
        assert len(text) > 200
        assert await v.page.locator("button:visible").count() == 1, "no control that does nothing"


async def test_times_are_relative_and_exact_on_hover(chromium, tmp_path):
    async with visit(chromium, tmp_path) as v:
        moment = v.page.locator("#blocks-body time").first
        await expect(moment).to_contain_text("ago")
        assert (await moment.get_attribute("title") or "").endswith("UTC")


async def test_an_empty_pool_is_a_whole_page(chromium, tmp_path):
    async with visit(chromium, tmp_path, PHONE, reads=SampleReads(empty=True)) as v:
        await expect(v.page.locator("#blocks-body")).to_contain_text("No block yet")
        assert await fits(v.page)
        v.reads.pool = msgspec.structs.replace(v.reads.pool, payout_threshold=money(1))
        await expect(v.page.locator("#payouts-body")).to_contain_text("0.00000001")

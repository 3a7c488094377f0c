"""Pages as they arrive, without scripts: readable, honest, and nothing inline."""

import re

import pytest

from millpond.store import Store
from tests.api.real_pool import ANN, EVE, RealPool
from tests.api.sample import WALLET, SampleReads
from tests.api.test_shell import client_of, sample_deps

HTML = {"accept": "text/html"}


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def page(client, path: str, status: int = 200) -> str:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    html: str = answer.text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html), "inline code"
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", html), "another site"
    assert html.count("<h1") == 1
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "an id twice"
    return html


@pytest.fixture
async def real(store: Store) -> RealPool:
    return await (await RealPool.make(store)).with_history()


async def test_the_first_page_tells_all_of_a_real_pool(real: RealPool):
    async with real.client() as client:
        text = text_of(await page(client, "/"))
    for words in (
        "Pool hashrate",
        "stratum+tcp://127.0.0.1:3333",
        "PPLNS",
        "1 %",
        "orphaned",
        "mature",
        "rig-1",
        "50 DEV",
        "stale",
    ):
        assert words in text, words


async def test_a_miners_page_shows_balances_and_why(real: RealPool):
    async with real.client() as client:
        text = text_of(await page(client, f"/miners/{ANN.address}"))
        assert "33 DEV" in text
        assert "Why was I paid?" in text
        why = text_of(await page(client, f"/miners/{ANN.address}/proofs/{'aa' * 32}"))
        assert "66 %" in why
        assert "edge-1" in why
        part = await client.get(f"/miners/{ANN.address}/live")
        assert "<html" not in part.text
        unknown = text_of(await page(client, f"/miners/{EVE.address}"))
        assert "has not mined here yet" in unknown


async def test_a_blocks_page_splits_the_reward(real: RealPool):
    async with real.client() as client:
        split = text_of(await page(client, f"/blocks/{'aa' * 32}"))
        assert "pool fee" in split
        assert "0.5 DEV" in split
        orphan = text_of(await page(client, f"/blocks/{'bb' * 32}"))
        assert "another block at this height" in orphan
        await page(client, f"/blocks/{'ee' * 32}", 404)


async def test_looking_an_address_up_forgives_spaces_and_worker_names(tmp_path):
    deps = await sample_deps(tmp_path)
    async with client_of(deps) as client:
        answer = await client.get("/miners", params={"wallet": f"  {WALLET}.rig-1 "})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/miners/{WALLET}")
        assert (await client.get("/miners?wallet=")).headers["location"] == "/"
        wrong = text_of(await page(client, "/miners?wallet=<script>alert(1)</script>", 400))
        assert "This is no devcoin address." in wrong
    await deps.store.close()


async def test_a_pool_on_its_first_day_says_what_will_come(tmp_path):
    deps = await sample_deps(tmp_path, reads=SampleReads(empty=True))
    async with client_of(deps) as client:
        text = text_of(await page(client, "/"))
        for words in ("No block yet", "Nothing paid yet", "Nobody mines here yet", "No share was"):
            assert words in text
        await page(client, "/?pool=other", 404)
    await deps.store.close()


async def test_errors_are_pages_for_people_and_problems_for_programs(tmp_path):
    deps = await sample_deps(tmp_path)
    async with client_of(deps) as client:
        assert "Nothing here" in text_of(await page(client, "/nowhere", 404))
        program = await client.get("/nowhere", headers={"accept": "application/json"})
        assert program.headers["content-type"] == "application/problem+json"
    await deps.store.close()


async def test_the_first_page_with_all_it_needs_is_under_200_kb(real: RealPool):
    async with real.client() as client:
        html = await page(client, "/")
        total = len(html.encode())
        for path in set(re.findall(r'(?:src|href)="(/static/[^"#]+)', html)):
            answer = await client.get(path, headers={"accept-encoding": "identity"})
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            total += len(answer.content)
        zipped = await client.get("/static/vendor/htmx.min.js", headers={"accept-encoding": "gzip"})
        assert zipped.headers["content-encoding"] == "gzip"
        assert (await client.get("/static/../render.py")).status_code == 404
        assert (await client.get("/static/%2e%2e/render.py")).status_code == 404
    assert total < 200_000, "uncompressed, everything"


async def test_a_platform_without_staking_says_so_and_keeps_its_doors_shut(store: Store):
    real = await RealPool.make(store)
    async with real.client() as client:
        assert "no staking pool here yet" in text_of(await page(client, "/staking"))
        await page(client, "/staking/nothing", 404)
        await page(client, "/staking/wallets/0x12", 400)
        await page(client, f"/staking/wallets/0x{'1' * 40}")
        found = await client.get("/miners", params={"wallet": f"0x{'1' * 40}"})
        assert found.headers["location"] == f"/staking/wallets/0x{'1' * 40}"
        door = await page(client, "/admin")
        assert "Pause" not in door
        for part in ("pools", "risk", "alerts", "prices", "tasks", "trail"):
            await page(client, f"/admin/live?part={part}", 401)


async def test_modules_are_asked_about_each_time_and_hashed_names_never(real: RealPool):
    async with real.client() as client:
        plain = await client.get("/static/staking/wallet.js")
        assert plain.headers["cache-control"] == "no-cache"
        known = {"if-none-match": plain.headers["etag"]}
        again = await client.get("/static/staking/wallet.js", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        stale = await client.get("/static/staking/wallet.js?v=0000")
        assert stale.headers["cache-control"] == "no-cache"

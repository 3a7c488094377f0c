"""Stakers who go through the JSON interface, each with a key and a session."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from eth_account.messages import encode_defunct

from millpond.api.assembly import mining_deps
from millpond.mining.sharelog.reader import ShareLogReader
from millpond.ops.parts.api import staking_deps, terms
from millpond.ops.system import SystemEntropy
from millpond.staking.rewards.claims import Claim
from millpond.staking.rewards.claims import listed as list_claims
from millpond.staking.withdrawals.model import Withdrawal
from millpond.web.site import create_site
from tests.campaigns.staking.site import DIRECT, ONE, VAULT, Site

HOST = "127.0.0.1:8080"
_TRIES = 100
_SHARE = 10**24


class People:
    """What stakers do by the API, with one site's part `api`."""

    def __init__(self, site: Site, client: httpx.AsyncClient) -> None:
        self.site, self._client = site, client
        self._sessions: dict[int, dict[str, str]] = {}

    async def deposit(self, who: int, pool_id: str, amount: int) -> None:
        """Ask what to sign, sign it, send it."""
        body = {"amount": _decimal(amount, ONE)}
        answer = await self._post(who, f"/api/v1/pools/{pool_id}/deposit", body)
        self._sign(who, answer)

    async def ask(self, who: int, amount: int | None = None) -> Withdrawal:
        """Ask to be paid out of the direct pool."""
        body = {} if amount is None else {"amount": _decimal(amount, ONE)}
        answer = await self._post(who, f"/api/v1/pools/{DIRECT}/withdraw", body)
        found = {each.id: each for each in await self.site.withdrawals()}
        return found[answer["withdrawal"]["id"]]

    async def leave(self, who: int, shares: int) -> None:
        """Leave the vault."""
        body = {"amount": _decimal(shares, _SHARE)}
        self._sign(who, await self._post(who, f"/api/v1/pools/{VAULT}/withdraw", body))

    async def claim(self, who: int, amount: int | None = None) -> Claim:
        """Take rewards of the direct pool."""
        body = {} if amount is None else {"amount": _decimal(amount, ONE)}
        answer = await self._post(who, f"/api/v1/pools/{DIRECT}/rewards/claim", body)
        async with self.site.store.read() as tx:
            found = {each.id: each for each in await list_claims(tx)}
        return found[answer["claim"]["id"]]

    async def claim_on_chain(self, who: int) -> int:
        """Take a vault's rewards with the proof; returns all that was earned ever."""
        answer = await self._post(who, f"/api/v1/pools/{VAULT}/rewards/claim", {})
        self._sign(who, answer)
        return int(answer["proof"]["cumulative"]["units"])

    async def position(self, who: int, pool_id: str) -> tuple[int, int]:
        """What is seen and what counts, as the API says it."""
        path = f"/api/v1/pools/{pool_id}/balance/{self.site.wallet(who)}"
        answer = await self._ask(who, "GET", path)
        return int(answer["unconfirmed"]["units"]), int(answer["units"]["units"])

    def _sign(self, who: int, answer: dict[str, Any]) -> None:
        for each in answer["transactions"]:
            data = bytes.fromhex(each["data"][2:])
            account = self.site.node.accounts[who]
            self.site.node.send(account, to=each["to"], data=data, gas=600_000)

    async def _post(self, who: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._ask(who, "POST", path, body)

    async def _ask(
        self, who: int, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Ask until the nodes behind it answer."""
        text = ""
        for _ in range(_TRIES):
            if who not in self._sessions:
                self._sessions[who] = await self._sign_in(who)
            answer = await self._client.request(
                method, path, json=body, headers=self._sessions[who]
            )
            text = answer.text
            if answer.is_success:
                return dict(answer.json())
            assert answer.status_code in {401, 429, 502, 503}, text
            if answer.status_code == 401:
                # It ran out: half an hour passes quickly here.
                self._sessions.pop(who)
            else:
                self.site.failed.append(str(answer.json()["code"]))
                await self.site.clock.sleep(1)
        raise AssertionError(f"it is never answered: {text}")

    async def _sign_in(self, who: int) -> dict[str, str]:
        wallet, account = self.site.wallet(who), self.site.node.accounts[who]
        asked = await self._client.post("/api/v1/auth/challenge", json={"wallet": wallet})
        told = asked.json()
        signed = account.sign_message(encode_defunct(text=told["message"]))
        body = {
            "wallet": wallet,
            "nonce": told["nonce"],
            "signature": "0x" + bytes(signed.signature).hex(),
        }
        answer = await self._client.post("/api/v1/auth/session", json=body)
        assert answer.status_code == 201, answer.text
        return {"authorization": f"Bearer {answer.json()['token']}"}


def _decimal(units: int, one: int) -> str:
    """Whole tokens as text."""
    places = len(str(one)) - 1
    return f"{units // one}.{units % one:0{places}d}"


@contextlib.asynccontextmanager
async def open_api(site: Site, folder: Path) -> AsyncIterator[People]:
    """The part `api` of a site, put together as production does."""
    log = await ShareLogReader.open(f"sqlite:///{folder}/shares.db")
    entropy = SystemEntropy()
    nodes = {site.node.chain_id: site.room.nodes}
    deps = mining_deps(
        store=site.store,
        share_log=log,
        terms=terms(site.config),
        clock=site.clock,
        entropy=entropy,
        settings=site.config.http,
        staking=staking_deps(site.config, site.store, nodes, site.clock, entropy),
    )
    transport = httpx.ASGITransport(create_site(deps))
    try:
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            yield People(site, client)
    finally:
        await log.close()

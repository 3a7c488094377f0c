"""Checks of the coin daemons: reachable, in step, able to give work and to pay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from millpond.chains.bitcoin.errors import RpcAuthError, RpcError, RpcRejectedError
from millpond.chains.bitcoin.rpc import RpcEndpoint
from millpond.chains.coins import Coin, coin_named
from millpond.clock import Clock
from millpond.ops.config.settings import DaemonSettings
from millpond.ops.doctor.findings import Finding, fault, ok, warning

_SKEW_S = 60
_MAX_TIMEOUT_S = 10.0


async def daemon(settings: DaemonSettings, clock: Clock) -> AsyncIterator[Finding]:
    """Everything about one daemon."""
    coin = coin_named(settings.coin)
    subject = f"daemon {settings.url}"
    endpoint = RpcEndpoint(
        settings.url,
        settings.user,
        settings.password,
        cookie_file=settings.cookie_file or None,
        timeout_s=min(settings.timeout_s, _MAX_TIMEOUT_S),
    )
    try:
        try:
            network = await endpoint.call("getnetworkinfo")
            chain = await endpoint.call("getblockchaininfo")
        except RpcAuthError as error:
            mend = "set daemons.user and daemons.password, or cookie_file, as the daemon has them"
            yield fault(subject, error.message, mend)
            return
        except RpcError as error:
            mend = "start the daemon with -server, or mend daemons.url and -rpcallowip"
            yield fault(subject, error.message, mend)
            return
        yield ok(subject, f"{network['subversion']} answers")
        for finding in _network(subject, coin, network, chain, clock):
            yield finding
        yield await _template(subject, coin, endpoint)
        yield await _wallet(subject, settings, endpoint)
    finally:
        await endpoint.close()


def _network(subject: str, coin: Coin, network: Any, chain: Any, clock: Clock) -> list[Finding]:
    found = []
    expected = coin.chain
    if expected and chain["chain"] != expected:
        mend = f"name the daemon's own coin, or start it on {expected}"
        found.append(fault(subject, f"it runs {chain['chain']}, {coin.name} is {expected}", mend))
    if chain["initialblockdownload"] and expected != "regtest":
        progress = float(chain.get("verificationprogress", 0)) * 100
        mend = "wait until it has caught up; no block can be found before"
        found.append(fault(subject, f"it is still downloading ({progress:.1f} %)", mend))
    else:
        found.append(ok(subject, f"{chain['chain']} at height {chain['blocks']}"))
    if network["connections"] == 0 and coin.block_time_s > 10:
        mend = "let it reach its network: -addnode, firewall; without a peer it gives no work"
        found.append(warning(subject, "it has no peers", mend))
    offset_s = abs(int(network.get("timeoffset", 0)))
    behind_s = int(chain.get("mediantime", 0)) - clock.now_ms() // 1000
    if offset_s > _SKEW_S or behind_s > _SKEW_S:
        skew = max(offset_s, behind_s)
        mend = "let this machine set its clock by NTP"
        found.append(warning("clock", f"{subject} sees {skew} s between our clocks", mend))
    return found


async def _template(subject: str, coin: Coin, endpoint: RpcEndpoint) -> Finding:
    rules = list(coin.template_rules)
    try:
        template = await endpoint.call("getblocktemplate", {"rules": rules})
    except RpcRejectedError as error:
        mend = "see the daemon's answer; without peers or while downloading it gives no work"
        return fault(subject, f"it gives no template: {error.message}", mend)
    except RpcError as error:
        return fault(subject, f"it gives no template: {error.message}", "look at its log")
    unknown = [
        rule.removeprefix("!")
        for rule in template.get("rules", [])
        if rule.startswith("!") and rule.removeprefix("!") not in rules
    ]
    if unknown:
        mend = "a new rule of this coin: Millpond must learn it before it may mine"
        return fault(subject, f"its template demands the rules {', '.join(unknown)}", mend)
    return ok(subject, f"it gives work for height {template['height']}")


async def _wallet(subject: str, settings: DaemonSettings, endpoint: RpcEndpoint) -> Finding:
    rpc = endpoint.for_wallet(settings.wallet) if settings.wallet else endpoint
    try:
        info = await rpc.call("getwalletinfo")
    except RpcError as error:
        mend = "run `millpond init`, which makes the wallet, or name an existing one"
        return fault(subject, f"its wallet does not answer: {error.message}", mend)
    finally:
        if rpc is not endpoint:
            await rpc.close()
    if info.get("unlocked_until") == 0:
        mend = "unlock it (`walletpassphrase`) before payouts can be signed"
        return warning(subject, "its wallet is locked", mend)
    return ok(subject, f"its wallet {info.get('walletname') or 'default'!r} answers")

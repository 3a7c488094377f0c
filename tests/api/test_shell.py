"""What holds for every answer: problems, limits, headers, sizes, proxies."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from millpond.api.app import create_app
from millpond.api.deps import ApiDeps
from millpond.api.ports import CheckResult
from millpond.api.settings import ApiSettings
from millpond.clock import ManualClock, SeededEntropy
from millpond.errors import UnavailableError
from millpond.store import Store
from millpond.web.site import create_site
from tests.api.sample import COIN, POOL_ID, WALLET, SampleReads, SampleWrites, check_form


class BrokenReads(SampleReads):
    async def balances(self, tx, wallet):
        raise ZeroDivisionError("the secret is 4711")


@pytest.fixture(autouse=True)
def database(tmp_path: Path, sqlite_template: Path) -> None:
    """An empty one for `sample_deps` to open."""
    shutil.copy(sqlite_template, tmp_path / "a.db")


async def sample_deps(tmp_path: Path, **changes) -> ApiDeps:
    store = await Store.open(f"sqlite:///{tmp_path}/a.db")
    values: dict[str, Any] = {
        "store": store,
        "clock": ManualClock(),
        "entropy": SeededEntropy(1),
        "reads": SampleReads(),
        "writes": SampleWrites(),
        "coins": {POOL_ID: COIN},
        "verify": lambda *_: False,
        "check_address": check_form,
        "operator_key": "the key",
    }
    return ApiDeps(**(values | changes))


def client_of(deps: ApiDeps, *, peer: str = "192.0.2.7", pages: bool = True) -> httpx.AsyncClient:
    app = create_site(deps) if pages else create_app(deps)
    transport = httpx.ASGITransport(app, client=(peer, 1), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://pool.test")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/pools/other", 404, "not_found"),
        ("DELETE", "/api/v1/stats", 405, "method_not_allowed"),
        ("GET", "/api/v1/miners/xyz", 400, "invalid_address"),
        ("GET", f"/api/v1/pools/{POOL_ID}/blocks?limit=0", 400, "invalid_input"),
        ("GET", f"/api/v1/pools/{POOL_ID}/blocks?limit=x", 400, "invalid_input"),
        ("GET", f"/api/v1/pools/{POOL_ID}/blocks?cursor=%00", 400, "invalid_cursor"),
        ("GET", f"/api/v1/pools/{POOL_ID}/performance?window=9y", 400, "invalid_input"),
        ("GET", "/api/v1/blocks/zz", 400, "invalid_input"),
        ("GET", "/api/v1/workers", 401, "authentication_required"),
        ("POST", "/api/v1/auth/session", 400, "invalid_input"),
        ("GET", f"/api/v1/miners/{WALLET}/balances", 500, "internal"),
    ],
)
async def test_every_error_is_a_problem_and_tells_no_secret(tmp_path, method, path, status, code):
    deps = await sample_deps(tmp_path, reads=BrokenReads())
    async with client_of(deps) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["detail"]
    assert "4711" not in answer.text
    assert "Traceback" not in answer.text
    await deps.store.close()


async def test_a_body_may_not_be_large_announced_or_not(tmp_path):
    async def endless():
        for _ in range(10):
            yield b"x" * 4096

    deps = await sample_deps(tmp_path)
    headers = {"content-type": "application/json"}
    async with client_of(deps) as client:
        for content in (b"x" * 20_000, endless()):
            answer = await client.post("/api/v1/auth/session", content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    await deps.store.close()


async def test_a_hundred_requests_a_minute_and_the_headers_say_so(tmp_path):
    deps = await sample_deps(tmp_path)
    async with client_of(deps) as client:
        answers = [await client.get("/api/v1/stats") for _ in range(101)]
        health = await client.get("/healthz")
    assert {answer.status_code for answer in answers[:100]} == {200}
    assert answers[0].headers["ratelimit-policy"] == '"api";q=100;w=60'
    assert answers[0].headers["ratelimit"] == '"api";r=99;t=1'
    last = answers[100]
    assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
    assert last.headers["retry-after"] == "1"
    assert last.headers["x-content-type-options"] == "nosniff"
    assert health.status_code == 200, "health has no limit"
    await deps.store.close()


async def test_sign_in_has_a_stricter_bucket_of_its_own(tmp_path):
    deps = await sample_deps(tmp_path)
    async with client_of(deps) as client:
        codes = [(await client.post("/api/v1/auth/session")).status_code for _ in range(11)]
        other = await client.get("/api/v1/stats")
    assert codes == [400] * 10 + [429]
    assert other.status_code == 200
    await deps.store.close()


@pytest.mark.parametrize(
    ("peer", "forwarded", "separate"),
    [
        ("10.0.0.1", ["203.0.113.1", "203.0.113.2"], True),
        ("10.0.0.1", ["spoof, 203.0.113.1", "other, 203.0.113.1"], False),
        ("198.51.100.9", ["203.0.113.1", "203.0.113.2"], False),
        ("10.0.0.1", ["2001:db8::1", "2001:db8::2"], False),
    ],
)
async def test_only_trusted_proxies_tell_whose_request_it_is(tmp_path, peer, forwarded, separate):
    settings = ApiSettings(trusted_proxies=("10.0.0.0/8",), requests_per_minute=1)
    deps = await sample_deps(tmp_path, settings=settings)
    async with client_of(deps, peer=peer) as client:
        codes = [
            (await client.get("/api/v1/stats", headers={"x-forwarded-for": value})).status_code
            for value in forwarded
        ]
    assert codes == [200, 200 if separate else 429]
    await deps.store.close()


async def test_security_headers_are_on_everything(tmp_path):
    settings = ApiSettings(trusted_proxies=("10.0.0.0/8",))
    deps = await sample_deps(tmp_path, settings=settings)
    async with client_of(deps, peer="10.0.0.1") as client:
        for path in ("/", "/api/v1/stats", "/nope", "/static/app.css", "/api/v1/nope"):
            answer = await client.get(path, headers={"x-forwarded-proto": "https"})
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "strict-transport-security" in answer.headers
        plain = await client.get("/")
        assert "strict-transport-security" not in plain.headers
    await deps.store.close()


async def test_ready_means_that_every_check_passes_in_time(tmp_path):
    async def good():
        return CheckResult(ok=True, detail="12 ms")

    async def bad():
        raise UnavailableError("the daemon does not answer")

    async def silent():
        await asyncio.Event().wait()

    deps = await sample_deps(tmp_path, checks={"database": good})
    async with client_of(deps) as client:
        assert (await client.get("/readyz")).json()["status"] == "ready"
    checks = {"database": good, "daemon": bad, "edge": silent}
    await deps.store.close()
    deps = await sample_deps(tmp_path, checks=checks)
    async with client_of(deps) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert {c["name"]: c["ok"] for c in answer.json()["checks"]} == {
        "database": True,
        "daemon": False,
        "edge": False,
    }
    await deps.store.close()


@pytest.mark.parametrize(
    ("setting", "peer", "key", "status"),
    [
        ("local", "127.0.0.1", None, 200),
        ("local", "192.0.2.1", None, 401),
        ("local", "192.0.2.1", "the key", 200),
        ("key", "127.0.0.1", None, 401),
        ("key", "127.0.0.1", "the key", 200),
        ("open", "192.0.2.1", None, 200),
        ("off", "127.0.0.1", "the key", 404),
    ],
)
async def test_metrics_are_for_whom_the_setting_says(tmp_path, setting, peer, key, status):
    deps = await sample_deps(tmp_path, settings=ApiSettings(metrics=setting))
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with client_of(deps, peer=peer) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("python_info" in answer.text) == (status == 200)
    await deps.store.close()


async def test_without_pages_the_api_stands_alone(tmp_path):
    deps = await sample_deps(tmp_path)
    async with client_of(deps, pages=False) as client:
        assert (await client.get("/api/stats")).status_code == 200
        assert (await client.get("/")).status_code == 404
    await deps.store.close()


@pytest.mark.parametrize("host", ["127.0.0.1:999999", "a:b"])
@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/nothing", 404), (f"/api/v1/miners/{WALLET}/balances", 500), ("/nothing", 404)],
)
async def test_errors_are_problems_whatever_the_host_is_called(tmp_path, host, pages, path, status):
    deps = await sample_deps(tmp_path, reads=BrokenReads())
    async with client_of(deps, pages=pages) as client:
        answer = await client.get(path, headers={"host": host})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    await deps.store.close()


async def test_a_client_that_leaves_during_its_body_is_no_error_in_the_log(tmp_path):
    deps = await sample_deps(tmp_path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/auth/session",
        "raw_path": b"/api/v1/auth/session",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"pool.test"), (b"content-type", b"application/json")],
        "client": ("192.0.2.7", 1),
        "server": ("pool.test", 80),
    }
    parts = iter(
        [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive():
        return next(parts)

    async def send(message):
        pass

    with capture_logs() as logs:
        await create_site(deps)(scope, receive, send)
    assert [(each["event"], each["log_level"]) for each in logs] == [("client_left", "debug")]
    assert "exc_info" not in logs[0]
    await deps.store.close()

"""Rates are exact, refusals say when to come back, and memory is bounded."""

from millpond.api.ratelimit import RateLimiter

SECOND = 1_000_000_000


def test_the_limit_passes_and_not_one_more():
    limiter = RateLimiter(100)
    verdicts = [limiter.check("a", 0) for _ in range(101)]
    assert [v.allowed for v in verdicts] == [True] * 100 + [False]
    assert verdicts[0].remaining == 99
    assert verdicts[99].remaining == 0
    assert verdicts[100].reset_s == 1
    assert (b"retry-after", b"1") in verdicts[100].headers("api", 60)


def test_no_minute_lets_more_through_than_the_burst_and_the_rate():
    limiter = RateLimiter(10)
    passed = [t for t in range(120 * 10) if limiter.check("a", t * SECOND // 10).allowed]
    assert len(passed) == 10 + 19
    assert limiter.check("b", 0).allowed, "another client is not affected"


def test_a_refused_request_costs_nothing():
    limiter = RateLimiter(2)
    assert [limiter.check("a", 0).allowed for _ in range(5)] == [True, True, False, False, False]
    assert limiter.check("a", 30 * SECOND).allowed


def test_only_so_many_clients_are_remembered():
    limiter = RateLimiter(1, max_keys=3)
    for key in "abcd":
        assert limiter.check(key, 0).allowed
    assert len(limiter) == 3
    assert not limiter.check("d", 1).allowed
    assert limiter.check("a", 1).allowed, "the one unseen for longest was forgotten"

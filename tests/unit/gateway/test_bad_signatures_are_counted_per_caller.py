import pytest

from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.gateway_api.callers.machine_keys import GoodKeys
from services.gateway_api.callers.ratelimits import RateLimits
from services.gateway_api.limits import (
    BAD_CREDENTIALS_MAX,
    BAD_SIGNATURES_MAX,
    GOOD_KEY_S,
    GOOD_KEYS_MAX,
    SUBJECT_REQUESTS_MAX,
)
from services.gateway_api.web.problems import Problem


def _limits(*, subjects_limited: bool = True) -> tuple[RateLimits, Metrics]:
    metrics = Metrics("gateway", Topics.of(Settings()))
    return RateLimits(metrics, subjects_limited=subjects_limited), metrics


def test_the_hundred_and_first_is_429_and_counted_and_others_are_not_touched() -> None:
    limits, metrics = _limits(subjects_limited=False)
    for _ in range(BAD_SIGNATURES_MAX):
        limits.count_bad_signature("192.0.2.1")
    with pytest.raises(Problem) as refused:
        limits.count_bad_signature("192.0.2.1")
    assert refused.value.status == 429
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 10
    assert metrics.registry.get_sample_value("coursepay_rate_limited_total") == 1
    limits.count_bad_signature("192.0.2.2")


def test_an_address_that_guesses_keys_is_refused_before_the_next_guess() -> None:
    limits, metrics = _limits(subjects_limited=False)
    for _ in range(BAD_CREDENTIALS_MAX):
        limits.refuse_guessing("192.0.2.1")
        limits.count_bad_key("192.0.2.1")
    with pytest.raises(Problem) as refused:
        limits.refuse_guessing("192.0.2.1")
    assert refused.value.status == 429
    assert metrics.registry.get_sample_value("coursepay_rate_limited_total") == 1
    limits.refuse_guessing("192.0.2.2")
    limits.count_bad_token("192.0.2.1")
    limits.count_bad_signature("192.0.2.1")


def test_an_ipv6_network_is_one_caller() -> None:
    limits, _ = _limits()
    for number in range(BAD_SIGNATURES_MAX):
        limits.count_bad_signature(f"2001:db8::{number:x}")
    with pytest.raises(Problem):
        limits.count_bad_signature("2001:db8::ffff")
    limits.count_bad_signature("2001:db8:0:1::1")


def test_subjects_are_limited_unless_the_setting_lifts_it() -> None:
    limits, _ = _limits()
    for _ in range(SUBJECT_REQUESTS_MAX):
        limits.count_request("student-1")
    with pytest.raises(Problem):
        limits.count_request("student-1")
    limits.count_request("student-2")
    lifted, _ = _limits(subjects_limited=False)
    for _ in range(SUBJECT_REQUESTS_MAX + 1):
        lifted.count_request("student-1")


def test_bad_tokens_close_no_door_to_keys() -> None:
    limits, _ = _limits()
    for _ in range(BAD_CREDENTIALS_MAX):
        limits.count_bad_token("192.0.2.1")
    with pytest.raises(Problem):
        limits.count_bad_token("192.0.2.1")
    limits.refuse_guessing("192.0.2.1")


def test_a_good_key_is_remembered_for_a_minute_and_only_so_many_are() -> None:
    now = [0.0]
    keys = GoodKeys(clock=lambda: now[0])
    keys.remember("cpk_first")
    now[0] = GOOD_KEY_S
    assert keys.has("cpk_first")
    now[0] += 1
    assert not keys.has("cpk_first")
    for number in range(GOOD_KEYS_MAX + 1):
        keys.remember(f"cpk_{number}")
    assert [keys.has(f"cpk_{number}") for number in (0, 1, GOOD_KEYS_MAX)] == [False, True, True]

"""Rate limits, in memory of each process: bad signatures and bad credentials per address, everything else per subject.

A valid signature is never limited, because it is checked before it is counted. RATE_LIMITS=off lifts the limit per
subject only: guessing stays slow.
"""

import math
import time
from ipaddress import IPv4Address, IPv6Network, ip_address

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from services.common.metrics import Metrics
from services.gateway_api.limits import BAD_CREDENTIALS_MAX, BAD_SIGNATURES_MAX, RATE_WINDOW_S, SUBJECT_REQUESTS_MAX
from services.gateway_api.web.problems import Problem


class RateLimits:
    """One per gateway. Thread-safe."""

    def __init__(self, metrics: Metrics, *, subjects_limited: bool) -> None:
        self._metrics = metrics
        self._subjects_limited = subjects_limited
        # A fixed window is one counter per key. The moving one keeps an empty list for every address it ever saw.
        self._window = FixedWindowRateLimiter(MemoryStorage())
        self._bad_signatures = RateLimitItemPerSecond(BAD_SIGNATURES_MAX, RATE_WINDOW_S, namespace="signature")
        self._bad_tokens = RateLimitItemPerSecond(BAD_CREDENTIALS_MAX, RATE_WINDOW_S, namespace="token")
        self._bad_keys = RateLimitItemPerSecond(BAD_CREDENTIALS_MAX, RATE_WINDOW_S, namespace="key")
        self._requests = RateLimitItemPerSecond(SUBJECT_REQUESTS_MAX, RATE_WINDOW_S, namespace="subject")

    def count_bad_signature(self, address: str) -> None:
        """Raises Problem 429 from the 101st within 10 s on."""
        self._hit(self._bad_signatures, _network_of(address))

    def count_bad_token(self, address: str) -> None:
        """Of what was refused without asking the database. Raises Problem 429 from the 101st within 10 s on."""
        self._hit(self._bad_tokens, _network_of(address))

    def count_bad_key(self, address: str) -> None:
        """Of a look-up that found none. Raises Problem 429 from the 101st within 10 s on."""
        self._hit(self._bad_keys, _network_of(address))

    def refuse_guessing(self, address: str) -> None:
        """Raises Problem 429 where count_bad_key would. A good key at the same address waits as well."""
        who = _network_of(address)
        if not self._window.test(self._bad_keys, who):
            self._refuse(self._bad_keys, who)

    def count_request(self, subject: str) -> None:
        """Raises Problem 429 above the limit."""
        if self._subjects_limited:
            self._hit(self._requests, subject)

    def _hit(self, limit: RateLimitItemPerSecond, who: str) -> None:
        if not self._window.hit(limit, who):
            self._refuse(limit, who)

    def _refuse(self, limit: RateLimitItemPerSecond, who: str) -> None:
        self._metrics.rate_limited.inc()
        free_at = self._window.get_window_stats(limit, who).reset_time
        wait_s = max(1, min(RATE_WINDOW_S, math.ceil(free_at - time.time())))
        raise Problem("rate-limited", 429, "Too many requests", headers={"Retry-After": str(wait_s)})


def _network_of(address: str) -> str:
    """An IPv6 customer has at least a /64 to call from, so that is one caller."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    return address if isinstance(parsed, IPv4Address) else str(IPv6Network((parsed, 64), strict=False))

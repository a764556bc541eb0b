"""Calls to a service that is not ours: deadlines, a limit on what is read, a circuit breaker, errors as record errors.

    2xx, 4xx          an answer
    5xx, too slow     TransientError: one call went wrong, the record's tiers try it again
    nobody there      DependencyError: nothing listens, no address, no connection within CONNECT_S
    circuit open      DependencyError: after several failures in a row nothing is asked for a while, then one caller is

A caller that lets a DependencyError through pauses its worker, which probes and uses no attempt.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from services.common.breaker import Breaker, CircuitState
from services.common.errors import DependencyError, PermanentError, TransientError
from services.common.limits import (
    CONCURRENT_RECORDS_MAX,
    HTTP_BODY_BYTES_MAX,
    HTTP_CALL_S,
    QUICK_TRIES,
    QUICK_TRIES_BUDGET_S,
)
from services.notifier.limits import CONNECT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`status` is below 500."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class ConnectionLostError(TransientError):
    """The connection ended before an answer; often a kept-alive one that the server had just closed."""


class OutsideService:
    """`name` as in the label of coursepay_circuit_state; `base_url` without a trailing slash."""

    def __init__(
        self, name: str, base_url: str, *, http: aiohttp.ClientSession, breaker: Breaker, within_s: float = HTTP_CALL_S
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._http = http
        self._breaker = breaker
        self._timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=CONNECT_S)

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Safe to repeat for the callee, by its nature or by a key in `headers`. Raises TransientError, or
        DependencyError as above.
        """
        if not self._breaker.allows_call():
            raise self._away("its circuit is open", "CircuitOpen")
        probing = self._breaker.state is CircuitState.HALF_OPEN
        try:
            answer = await self._call(method, path, headers, body)
        except TransientError as error:
            self._breaker.failed()
            if probing:
                # The service's fault, as the calls before: the record that found out keeps its attempts.
                raise self._away(str(error), error.cause_class) from error
            raise
        except BaseException:
            # Cancelled ones too: a half-open circuit would wait for its probe for ever.
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer

    @retry(
        retry=retry_if_exception_type(ConnectionLostError),
        stop=stop_after_attempt(QUICK_TRIES),
        wait=wait_fixed(QUICK_TRIES_BUDGET_S / 3),
        reraise=True,
    )
    async def _call(self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None) -> Answer:
        options = {"headers": headers, "data": body, "timeout": self._timeout, "allow_redirects": False}
        try:
            async with self._http.request(method, self._base_url + path, **options) as answer:  # type: ignore[arg-type]
                if answer.status >= 500 or 300 <= answer.status < 400:
                    raise TransientError(f"{self.name} answered {answer.status}", cause_class=f"Http{answer.status}")
                return Answer(status=answer.status, body=await self._read(answer))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._away("no connection", type(error).__name__) from error
        except TimeoutError as error:
            raise TransientError(f"{self.name} did not answer in time", cause_class="TimeoutError") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise ConnectionLostError(f"{self.name} hung up", cause_class=type(error).__name__) from error
        except aiohttp.ClientError as error:
            raise TransientError(f"{self.name} makes no sense", cause_class=type(error).__name__) from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in answer.content.iter_chunked(HTTP_BODY_BYTES_MAX):
            body += part
            if len(body) > HTTP_BODY_BYTES_MAX:
                raise TransientError(f"{self.name} answered too much", cause_class="BodyTooLarge")
        return bytes(body)

    def _away(self, why: str, cause_class: str) -> DependencyError:
        return DependencyError(f"{self.name}: {why}", dependency=self.name, cause_class=cause_class)


def refused(service: str, answer: Answer) -> TransientError | PermanentError:
    """What a 4xx means for the record: most will be the same for ever."""
    error = TransientError if answer.status in {408, 425, 429} else PermanentError
    return error(f"{service} answered {answer.status}", cause_class=f"Http{answer.status}")


@asynccontextmanager
async def open_http() -> AsyncIterator[aiohttp.ClientSession]:
    """A session for outside services: no cookies, no compressed answers, no more connections than calls at a time."""
    connector = aiohttp.TCPConnector(limit=2 * CONCURRENT_RECORDS_MAX)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "coursepay-notifier"},
        raise_for_status=False,
    ) as http:
        yield http

"""Calls to a provider's API: a deadline over all tries, a limit on what is read, errors translated once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from services.common.errors import DependencyError
from services.gateway_api.limits import PROVIDER_ANSWER_BYTES_MAX, PROVIDER_CALL_S, PROVIDER_TRIES
from services.gateway_api.providers.protocol import ProviderRefusedError
from services.gateway_api.providers.verified import Proof, proof_of_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The provider's JSON. `found` False: there is no such thing, which is an answer too where it was asked for."""

    data: object
    proof: Proof
    found: bool


class ProviderApi:
    """`base_url` without a trailing slash or version; `auth`: the value of the Authorization header, if any."""

    def __init__(self, name: str, http: aiohttp.ClientSession, *, base_url: str, auth: str) -> None:
        self._name = name
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._auth = auth

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
        absent: frozenset[int] = frozenset(),
        within_s: float = PROVIDER_CALL_S,
    ) -> Answered:
        """Tried again when the provider fails or hangs up, so `headers` or the body must make a repetition harmless.

        `absent`: the statuses with which it says that there is no such thing. Raises DependencyError, or
        ProviderRefusedError for any other 4xx.
        """
        sent = {**({"Authorization": self._auth} if self._auth else {}), **(headers or {})}
        tries = AsyncRetrying(
            retry=retry_if_exception_type(DependencyError),
            stop=stop_after_attempt(PROVIDER_TRIES),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        request = {"headers": sent, "json": json, "data": form, "allow_redirects": False}
        try:
            async with asyncio.timeout(within_s):
                async for attempt in tries:
                    with attempt:
                        return await self._once(method, path, request, absent)
        except TimeoutError as error:
            raise self._away("no answer in time", "TimeoutError") from error
        raise AssertionError("tenacity returns or raises")

    async def _once(self, method: str, path: str, request: Mapping[str, object], absent: frozenset[int]) -> Answered:
        try:
            async with self._http.request(method, self._base_url + path, **request) as answer:  # type: ignore[arg-type]
                return await self._read(answer, absent)
        except aiohttp.ClientError as error:
            raise self._away(str(error), type(error).__name__) from error

    async def _read(self, answer: aiohttp.ClientResponse, absent: frozenset[int]) -> Answered:
        if answer.status >= 500 or answer.status in {408, 409, 425, 429}:
            raise self._away(f"answered {answer.status}", f"Http{answer.status}")
        if answer.status != 200 and answer.status not in absent:
            raise ProviderRefusedError(self._name, answer.status)
        body = bytearray()
        async for part in answer.content.iter_chunked(PROVIDER_ANSWER_BYTES_MAX):
            body += part
            if len(body) > PROVIDER_ANSWER_BYTES_MAX:
                raise self._away("answered too much", "BodyTooLarge")
        try:
            return Answered(data=orjson.loads(body), proof=proof_of_answer(answer), found=answer.status == 200)
        except orjson.JSONDecodeError as error:
            raise self._away("answered no JSON", "JSONDecodeError") from error

    def _away(self, why: str, cause_class: str) -> DependencyError:
        return DependencyError(f"{self._name}: {why}", dependency="provider", cause_class=cause_class)

"""Idempotency-Key (IETF draft): a repeated request with the same key gets the first answer, byte for byte.

The key belongs to a caller and a route. It is claimed before any work, in a commit of its own, and finished in the
transaction of the work, so that the answer is stored if and only if the work is. A claim whose process died may be
taken over after IDEMPOTENCY_LEASE_S. Refusals are not stored: the caller may repair the request and keep the key.

Table: idempotency_keys.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import orjson
from aiohttp import web
from pydantic import BaseModel

from services.common.database import POSTGRESQL, Database, Row, Transaction
from services.common.errors import DependencyError, RecordError
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.limits import (
    IDEMPOTENCY_KEPT_HOURS,
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    IDEMPOTENCY_LEASE_S,
    RETRY_AFTER_S,
)
from services.gateway_api.web.json_answers import answer
from services.gateway_api.web.problems import Problem

_KEPT = timedelta(hours=IDEMPOTENCY_KEPT_HOURS)
_LEASE = timedelta(seconds=IDEMPOTENCY_LEASE_S)
# One statement claims a new key, an outlived one, or one whose process died. Whoever loses reads what is there.
_CLAIM = """
INSERT INTO idempotency_keys AS held (caller, route, key, fingerprint, claim, claimed_until)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6)
ON CONFLICT (caller, route, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, claim = excluded.claim, claimed_until = excluded.claimed_until,
       created_at = clock_timestamp(), status = NULL, body = NULL, location = NULL
 WHERE held.created_at < clock_timestamp() - $7::interval
    OR (held.status IS NULL AND held.claimed_until < clock_timestamp() AND held.fingerprint = excluded.fingerprint)
"""
_READ = """
SELECT fingerprint, status, body, location FROM idempotency_keys WHERE caller = $1 AND route = $2 AND key = $3
"""
_FINISH = """
UPDATE idempotency_keys SET status = $2, body = $3, location = $4 WHERE claim = $1 AND status IS NULL
"""
_RELEASE = "DELETE FROM idempotency_keys WHERE claim = $1 AND status IS NULL"


class Once:
    """`stored`: the answer of a finished twin, to be given as it is. Else do the work and `finish` in its commit."""

    def __init__(self, claim: UUID | None, stored: web.Response | None) -> None:
        self.claim = claim
        self.stored = stored

    async def finish(
        self, transaction: Transaction, model: BaseModel, *, status: int, location: str | None = None
    ) -> web.Response:
        """Stores the answer and returns it. Raises Problem 409 when the claim was taken over meanwhile, which rolls
        the work back.
        """
        headers = {"Location": location} if location is not None else None
        response = answer(model, status=status, headers=headers)
        if self.claim is not None:
            done = await transaction.execute(_FINISH, self.claim, status, response.body, location)
            if done != "UPDATE 1":
                raise _running()
        return response


@asynccontextmanager
async def once(database: Database, request: web.Request, payload: object, *, required: bool) -> AsyncIterator[Once]:
    """`payload`: the JSON value of the request. Raises Problem 400 for a key that cannot be used and, when `required`,
    without one; 422 for another payload under a used key, 409 while the first request runs.
    """
    key = _key_of(request)
    if key is None:
        if required:
            raise Problem("idempotency-key-missing", 400, "Send an Idempotency-Key header")
        yield Once(None, None)
        return
    found = await _claim(database, request, key, payload)
    try:
        yield found
    except BaseException as error:
        # Without PostgreSQL the claim's lease must end by itself: asking again would only keep the caller waiting.
        away = isinstance(error, DependencyError) and error.dependency == POSTGRESQL
        if found.claim is not None and not away:
            await _release(database, found.claim)
        raise


async def _claim(database: Database, request: web.Request, key: str, payload: object) -> Once:
    resource = request.match_info.route.resource
    assert resource is not None
    scope = (caller_of(request).subject, f"{request.method} {resource.canonical}", key)
    fingerprint = hashlib.sha256(request.path.encode() + b"\n" + orjson.dumps(payload, option=orjson.OPT_SORT_KEYS))
    claim = uuid4()
    async with database.connection() as connection:
        if await connection.execute(_CLAIM, *scope, fingerprint.digest(), claim, _LEASE, _KEPT) == "INSERT 0 1":
            return Once(claim, None)
        row = await connection.fetchrow(_READ, *scope)
    return Once(None, _stored_answer(row, fingerprint.digest()))


def _stored_answer(row: Row | None, fingerprint: bytes) -> web.Response:
    if row is None:
        # Released between the two statements.
        raise _running()
    if row["fingerprint"] != fingerprint:
        raise Problem("idempotency-key-reused", 422, "This Idempotency-Key came before with another payload")
    if row["status"] is None:
        raise _running()
    headers = {"Location": row["location"]} if row["location"] is not None else None
    return web.Response(body=row["body"], status=row["status"], content_type="application/json", headers=headers)


async def _release(database: Database, claim: UUID) -> None:
    try:
        async with database.connection() as connection:
            await connection.execute(_RELEASE, claim)
    except RecordError:
        # The lease ends by itself.
        return


def _key_of(request: web.Request) -> str | None:
    """Quoted (a structured-field string, as the draft wants) or not, it is the same key. Raises Problem 400: whoever
    sends one that cannot be kept must not believe to be safe from doing it twice.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    text = given.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not (1 <= len(text) <= IDEMPOTENCY_KEY_CHARACTERS_MAX and text.isascii() and text.isprintable()):
        detail = f"1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters."
        raise Problem("idempotency-key-missing", 400, "The Idempotency-Key cannot be used", detail)
    return text


def _running() -> Problem:
    return Problem(
        "idempotency-key-running",
        409,
        "The first request with this Idempotency-Key has not finished",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )

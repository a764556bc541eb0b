"""Who is calling: a bearer token of a person, or a machine's key, becomes a Caller. Which routes
want one, and with which role, is in routing/endpoints.py.
"""

import re
from dataclasses import dataclass

import jwt
from aiohttp import hdrs, web

from services.common.database import Database
from services.common.validation import is_id
from services.gateway_api.callers.keys import Keys
from services.gateway_api.callers.machine_keys import GoodKeys, find_machine, is_machine_key
from services.gateway_api.callers.roles import STAFF, Role
from services.gateway_api.limits import TOKEN_CHARACTERS_MAX, TOKEN_LEEWAY_S
from services.gateway_api.web.problems import Problem, not_found

_API_KEY = re.compile(r"ApiKey +([A-Za-z0-9_-]+)", re.IGNORECASE)
_BEARER = re.compile(r"Bearer +([A-Za-z0-9_.-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    subject: str
    roles: frozenset[Role]

    @property
    def is_staff(self) -> bool:
        return not STAFF.isdisjoint(self.roles)


_CALLER = web.RequestKey("caller", Caller)


class Authenticator:
    def __init__(self, keys: Keys, database: Database, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._database = database
        self._good_keys = GoodKeys()
        self._issuer = issuer
        self._audience = audience

    async def identify(self, request: web.Request) -> Caller:
        """Raises Problem 401 without a good token, DependencyError when no key can be had to check it."""
        machine_key = _key_in(request)
        if machine_key is not None:
            return await self._identify_machine(machine_key)
        match = _BEARER.fullmatch(request.headers.get(hdrs.AUTHORIZATION, ""))
        if match is None or len(match[1]) > TOKEN_CHARACTERS_MAX:
            raise _unauthorized("Send Authorization: Bearer with a token, or ApiKey with a key.")
        try:
            key = await self._keys.find(jwt.get_unverified_header(match[1]).get("kid"))
            if key is None:
                raise _unauthorized("The token's key is not known here.")
            claims = jwt.decode(
                match[1],
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=TOKEN_LEEWAY_S,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            reason = "The token has expired." if isinstance(error, jwt.ExpiredSignatureError) else "The token is bad."
            raise _unauthorized(reason) from None
        return _caller_from(claims)

    def was_good_lately(self, request: web.Request) -> bool:
        """Whether it brings a machine's key that was let in within the last minute."""
        key = _key_in(request)
        return key is not None and self._good_keys.has(key)

    async def _identify_machine(self, key: str) -> Caller:
        found = await find_machine(self._database, key) if is_machine_key(key) else None
        if found is None:
            raise _unauthorized("The key is unknown, revoked or past its end.")
        self._good_keys.remember(key)
        # No person's id has a colon, so that a machine is never taken for one.
        return Caller(subject=f"machine:{found[0]}", roles=found[1])


def is_looked_up(request: web.Request) -> bool:
    """Whether it brings what could be a machine's key, so that the database is asked."""
    key = _key_in(request)
    return key is not None and is_machine_key(key) is not None


def remember_caller(request: web.Request, caller: Caller) -> None:
    request[_CALLER] = caller


def caller_of(request: web.Request) -> Caller:
    """Of a route that wants a role; the guard has checked it before the handler ran."""
    return request[_CALLER]


def require_owner(request: web.Request, student_id: str) -> None:
    """Raises Problem 404 for another student's data, so that ids cannot be probed. Staff may read."""
    caller = caller_of(request)
    if not caller.is_staff and caller.subject != student_id:
        raise not_found()


def _key_in(request: web.Request) -> str | None:
    match = _API_KEY.fullmatch(request.headers.get(hdrs.AUTHORIZATION, ""))
    return match[1] if match is not None else None


def _caller_from(claims: dict[str, object]) -> Caller:
    subject, words = claims["sub"], claims.get("roles")
    if not isinstance(subject, str) or not is_id(subject):
        raise _unauthorized("The token's subject is no id.")
    # Words of other systems in the list are ignored.
    roles = frozenset(role for role in Role if isinstance(words, list) and role.value in words)
    return Caller(subject=subject, roles=roles)


def _unauthorized(detail: str) -> Problem:
    return Problem(
        "unauthorized",
        401,
        "A valid token is needed",
        detail,
        headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="coursepay", ApiKey realm="coursepay"'},
    )

"""Keys of machines: `Authorization: ApiKey cpk_...`. Only a digest is kept: whoever reads the table can use none.

A key is 256 random bits, so one round of SHA-256 is enough: there is nothing to guess. Its roles say what it may do,
its end is set when it is made, and revoking it holds from the next request on.
Table: api_keys.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.database import Database, Transaction
from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import GOOD_KEY_S, GOOD_KEYS_MAX

PREFIX = "cpk_"
is_machine_key = re.compile(r"cpk_[A-Za-z0-9_-]{43}").fullmatch
# Students and trainers are people: what is theirs hangs on who they are.
MACHINE_ROLES = frozenset({Role.VIEWER, Role.SUPPORT, Role.FINANCE, Role.OPS})
_USE_NOTED_EVERY = timedelta(minutes=1)
_FIND = """
SELECT id, roles, COALESCE(last_used_at < now() - $2::interval, true) AS is_use_to_be_noted FROM api_keys
 WHERE key_sha256 = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
_NOTE_USE = "UPDATE api_keys SET last_used_at = now() WHERE id = $1"
_ADD = """
INSERT INTO api_keys (id, key_sha256, roles, created_by, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval) ON CONFLICT (id) DO NOTHING
RETURNING expires_at
"""
_LIST = """
SELECT id, roles, created_by, created_at, expires_at, revoked_at, last_used_at FROM api_keys ORDER BY created_at, id
"""
_REVOKE = "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineKey:
    """A row, without what it could be used with."""

    id: str
    roles: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class GoodKeys:
    """The digests of keys that were good a moment ago. It admits nobody: it tells those who work with their key from
    those who guess one, and each is looked up as ever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The last used last, so that the first are those to forget.
        self._used_at = dict[bytes, float]()

    def remember(self, key: str) -> None:
        digest = _digest(key)
        self._used_at.pop(digest, None)
        self._used_at[digest] = self._clock()
        if len(self._used_at) > GOOD_KEYS_MAX:
            del self._used_at[next(iter(self._used_at))]

    def has(self, key: str) -> bool:
        used_at = self._used_at.get(_digest(key))
        return used_at is not None and self._clock() - used_at <= GOOD_KEY_S


async def find_machine(database: Database, key: str) -> tuple[str, frozenset[Role]] | None:
    """(id, roles); None for a key that is unknown, revoked or past its end. Raises RecordError kinds."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_FIND, _digest(key), _USE_NOTED_EVERY)
        if row is None:
            return None
        if row["is_use_to_be_noted"]:
            await connection.execute(_NOTE_USE, row["id"])
    return row["id"], frozenset(role for role in MACHINE_ROLES if role.value in row["roles"])


async def add_machine_key(
    transaction: Transaction, key_id: str, *, roles: Sequence[Role], created_by: str, lifetime: timedelta
) -> tuple[str, datetime] | None:
    """(the key, its end), told here and never again; None when the id was used before."""
    key = PREFIX + secrets.token_urlsafe(32)
    words = [role.value for role in roles]
    expires_at = await transaction.fetchval(_ADD, key_id, _digest(key), words, created_by, lifetime)
    return (key, expires_at) if expires_at is not None else None


async def list_machine_keys(connection: Transaction) -> list[MachineKey]:
    rows = await connection.fetch(_LIST)
    return [MachineKey(**(dict(row) | {"roles": tuple(row["roles"])})) for row in rows]


async def revoke_machine_key(transaction: Transaction, key_id: str) -> bool:
    """False for one that is unknown or revoked already."""
    return await transaction.fetchval(_REVOKE, key_id) is not None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

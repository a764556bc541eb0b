"""The roles of sql/, created once per server.

Roles belong to the whole server while an advisory lock belongs to one database, so several migrators may be here at
once: each step is asked for first, and losing a race to another migrator is success.
"""

import asyncio
import random

import asyncpg

OWNER = "coursepay_owner"
SERVICE_ROLES = (
    "coursepay_gateway",
    "coursepay_purchase_worker",
    "coursepay_assignment_worker",
    "coursepay_notifier",
    "coursepay_operations",
)
_TRIES = 20
_PAUSE_S = 0.05
_EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
_FIRST_WITH_SET_OPTION = 16


async def ensure_roles(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """All roles exist and the login may act as each. Raises asyncpg.InsufficientPrivilegeError."""
    for role in (OWNER, *SERVICE_ROLES):
        await _insist(connection, f"CREATE ROLE {role} NOLOGIN", _EXISTS, role)
        # A superuser may act as any role without a grant. Since 16 membership alone is not enough for SET ROLE.
        if connection.get_server_version().major >= _FIRST_WITH_SET_OPTION:
            grant, may = f"GRANT {role} TO CURRENT_USER WITH SET TRUE", "SELECT pg_has_role(current_user, $1, 'SET')"
        else:
            grant, may = f"GRANT {role} TO CURRENT_USER", "SELECT pg_has_role(current_user, $1, 'MEMBER')"
        await _insist(connection, grant, may, role)


async def _insist(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, question: str, argument: str
) -> None:
    for left in reversed(range(_TRIES)):
        if await connection.fetchval(question, argument):
            return
        try:
            await connection.execute(statement)
        # The second is a race inside CREATE ROLE, the third ("tuple concurrently updated") one between two grants.
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError, asyncpg.InternalServerError):
            if left == 0:
                raise
            await asyncio.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311 - no secret

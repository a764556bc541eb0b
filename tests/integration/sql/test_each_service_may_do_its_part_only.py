"""The matrix of grants, written down a second time: who may write which table. Everything else is refused."""

import asyncpg
import pytest

from services.operations.database_roles import OWNER, SERVICE_ROLES
from tests.support.rows import Connection, insert

GATEWAY, PURCHASE, ASSIGNMENT, NOTIFIER, OPERATIONS = SERVICE_ROLES
# Grants on single columns are below.
MAY_WRITE: dict[str, dict[str, set[str]]] = {
    GATEWAY: {
        "INSERT": {
            "courses", "course_prices", "holidays", "orders", "payments", "payment_facts", "outbox", "payment_tasks",
            "idempotency_keys", "audit_log", "provider_sweeps",
        },
        "UPDATE": {
            "courses", "course_prices", "payments", "outbox", "payment_tasks", "idempotency_keys", "provider_sweeps",
        },
        "DELETE": {"course_prices", "outbox", "idempotency_keys"},
    },
    PURCHASE: {
        "INSERT": {"student_course_purchases", "purchase_adjustments", "worker_crashes"},
        "UPDATE": {"student_course_purchases", "purchase_adjustments", "worker_crashes"},
        "DELETE": {"worker_crashes"},
    },
    ASSIGNMENT: {"INSERT": {"outbox", "worker_crashes"}, "UPDATE": {"worker_crashes"}, "DELETE": {"worker_crashes"}},
    NOTIFIER: {
        "INSERT": {"notifications", "worker_crashes"},
        "UPDATE": {"notifications", "worker_crashes"},
        "DELETE": {"worker_crashes"},
    },
    OPERATIONS: {
        "INSERT": {"dead_letters", "dead_letter_topics", "replay_runs", "replay_items", "api_keys", "audit_log"}
        | {"outbox"},
        "UPDATE": {"dead_letters", "dead_letter_topics", "replay_runs", "replay_items", "api_keys"},
        "DELETE": set(),
    },
}  # fmt: skip
_TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND has_table_privilege($1, oid, $2)
"""


async def _tables(connection: Connection, role: str, verb: str) -> set[str]:
    return {row["relname"] for row in await connection.fetch(_TABLES, role, verb)}


async def test_everything_belongs_to_the_owner_who_cannot_log_in(connection: Connection) -> None:
    others = await connection.fetch(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> $1::regrole
         UNION ALL
        SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND proowner <> $1::regrole
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        """,
        OWNER,
    )
    assert others == []
    logins = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND (rolcanlogin OR rolsuper OR rolcreaterole)",
        [OWNER, *SERVICE_ROLES],
    )
    assert logins == []


async def test_the_grants_are_those_and_no_more(connection: Connection) -> None:
    for role in SERVICE_ROLES:
        for verb, expected in MAY_WRITE[role].items():
            assert await _tables(connection, role, verb) == expected, (role, verb)
        for verb in ("TRUNCATE", "TRIGGER", "REFERENCES"):
            assert await _tables(connection, role, verb) == set(), (role, verb)


async def test_single_columns(connection: Connection) -> None:
    columns = await connection.fetch(
        """
        SELECT grantee, table_name, column_name FROM information_schema.column_privileges privilege
         WHERE privilege_type = 'UPDATE' AND grantee LIKE 'coursepay\\_%' AND grantee <> $1 AND table_schema = 'public'
           AND NOT has_table_privilege(grantee, table_name::text, 'UPDATE')
        """,
        OWNER,
    )
    assert {(row["grantee"], row["table_name"], row["column_name"]) for row in columns} == {
        (GATEWAY, "api_keys", "last_used_at")
    }


async def test_no_function_is_everybodys(connection: Connection) -> None:
    """But those of the extension."""
    public = await connection.fetch(
        """
        SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE pronamespace = 'public'::regnamespace
           AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        """
    )
    assert public == []


async def test_definer_functions_pin_their_search_path(connection: Connection) -> None:
    loose = await connection.fetch(
        """
        SELECT oid::regprocedure::text FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prosecdef
           AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting WHERE setting LIKE 'search\\_path=%pg\\_temp')
        """
    )
    assert loose == []


async def test_the_audit_log_is_appended_only(connection: Connection) -> None:
    for role in SERVICE_ROLES:
        await connection.execute(f"SET ROLE {role}")
        for change in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)


async def test_a_service_works_through_identity_columns_defaults_and_constraints(connection: Connection) -> None:
    """What a missing grant on a sequence or a function would break."""
    for role, tables in (
        (GATEWAY, ("courses", "course_prices", "orders", "payments", "payment_facts", "outbox", "payment_tasks",
                   "idempotency_keys", "audit_log")),
        (PURCHASE, ("student_course_purchases", "purchase_adjustments", "worker_crashes")),
        (NOTIFIER, ("notifications",)),
        (OPERATIONS, ("dead_letters", "api_keys")),
    ):  # fmt: skip
        await connection.execute(f"SET ROLE {role}")
        for table in tables:
            await insert(connection, table)

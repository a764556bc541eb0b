"""Every statement that a service's modules hold is planned as that service's role on a migrated database: a column that
does not exist, a wrong type or a missing grant fails here, not at night.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import asyncpg
import pytest

import services.assignment_worker
import services.engine
import services.gateway_api
import services.notifier
import services.operations
import services.purchase_worker
from services.operations.database_roles import SERVICE_ROLES
from tests.support.rows import Connection

GATEWAY, PURCHASE, ASSIGNMENT, NOTIFIER, OPERATIONS = SERVICE_ROLES
# These act as the login and as the owner.
_MIGRATOR = (
    "services.operations.migrations",
    "services.operations.database_roles",
    "services.operations.repairs",
)
# A command that acts as the purchase worker; its own test runs each of its statements.
_IMPORT = ("services.operations.purchase_import",)
# `coursepay keys` runs these, as operations; the gateway only looks keys up.
_OF_OPERATORS = tuple(f"services.gateway_api.callers.machine_keys.{name}" for name in ("_ADD", "_LIST", "_REVOKE"))
_BEGINNINGS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_PARAMETERS = """
SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'statement'
"""


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__") and found.name not in _MIGRATOR + _IMPORT:
            yield importlib.import_module(found.name)


def _statements(package: ModuleType) -> dict[str, str]:
    """module.NAME -> SQL."""
    return {
        f"{module.__name__}.{name}": value
        for module in _modules(package)
        for name, value in vars(module).items()
        if isinstance(value, str) and value.strip().split(None, 1)[:1] and value.split(None, 1)[0] in _BEGINNINGS
        if name.isupper() and f"{module.__name__}.{name}" not in _OF_OPERATORS
    }


async def _plan(connection: Connection, statement: str) -> str:
    """EXPLAIN starts the executor, which checks the grants, and runs nothing."""
    await connection.execute(f"PREPARE statement AS {statement}")
    try:
        count = await connection.fetchval(_PARAMETERS)
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE statement{values}"))
    finally:
        await connection.execute("DEALLOCATE statement")


async def _wrong(connection: Connection, statement: str) -> str | None:
    """Why the role may not run it."""
    try:
        await _plan(connection, statement)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("package", "role"),
    [
        (services.gateway_api, GATEWAY),
        (services.purchase_worker, PURCHASE),
        (services.assignment_worker, ASSIGNMENT),
        (services.notifier, NOTIFIER),
        (services.operations, OPERATIONS),
        *((services.engine, worker) for worker in (PURCHASE, ASSIGNMENT, NOTIFIER)),
    ],
    ids=lambda value: value.__name__ if isinstance(value, ModuleType) else value,
)
async def test_each_statement_is_planned_as_its_role(connection: Connection, package: ModuleType, role: str) -> None:
    await connection.execute(f"SET ROLE {role}")
    statements = _statements(package)
    assert statements
    wrong = {name: why for name, sql in statements.items() if (why := await _wrong(connection, sql)) is not None}
    assert wrong == {}


async def test_what_the_gateway_holds_for_operators_is_planned_as_theirs(connection: Connection) -> None:
    await connection.execute(f"SET ROLE {OPERATIONS}")
    for statement in _OF_OPERATORS:
        module, _, name = statement.rpartition(".")
        assert await _wrong(connection, getattr(importlib.import_module(module), name)) is None


async def test_no_request_and_no_record_reads_a_whole_table(connection: Connection) -> None:
    """With sequential scans made dear, those that are left are of tables that have no index for the question."""
    await connection.execute("SET enable_seqscan = off")
    # Else the planner would see that nothing equals NULL.
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    scans = {
        name: sorted(set(tables))
        for package in (services.gateway_api, services.purchase_worker, services.assignment_worker, services.notifier)
        for name, sql in _statements(package).items()
        if (tables := re.findall(r"Seq Scan on (\w+)", await _plan(connection, sql)))
    }
    assert scans == {}


async def test_a_missing_grant_and_a_missing_column_are_noticed(connection: Connection) -> None:
    await connection.execute(f"SET ROLE {NOTIFIER}")
    assert "permission denied" in (await _wrong(connection, "SELECT order_id FROM orders WHERE order_id = $1") or "")
    assert "does not exist" in (await _wrong(connection, "SELECT colour FROM notifications") or "")
    assert "permission denied" in (await _wrong(connection, "SELECT * FROM assign_trainer($1, $2)") or "")
    assert await _wrong(connection, "SELECT status FROM notifications WHERE event_id = $1") is None

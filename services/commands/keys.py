"""`coursepay keys create|ls|revoke`: keys with which machines call the gateway. Each change is audited."""

import asyncio
import getpass
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from services.common.database import Database, open_database
from services.common.errors import ConfigurationError, RecordError
from services.common.runtime import EXIT_FAILED
from services.common.setting_kinds import parse_duration_s
from services.common.settings import Settings
from services.common.validation import is_id
from services.gateway_api.callers.machine_keys import (
    MACHINE_ROLES,
    MachineKey,
    add_machine_key,
    list_machine_keys,
    revoke_machine_key,
)
from services.gateway_api.callers.roles import Role

Told = TypeVar("Told")
app = typer.Typer(help="keys with which machines call the gateway", no_args_is_help=True)
_LIFETIME_MAX = timedelta(days=400)
_AUDIT = "INSERT INTO audit_log (actor, action, target, reason, after) VALUES ($1, $2, $3, $4, $5::jsonb)"
_Actor = Annotated[str, typer.Option(help="who asks for it; kept in the audit log", show_default="the login")]
_Reason = Annotated[str, typer.Option(help="why; kept in the audit log")]


@app.command()
def create(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="the machine's name")],
    role: Annotated[list[Role], typer.Option(help="may be given several times")],
    reason: _Reason,
    lifetime: Annotated[str, typer.Option(help="like 90d, at most 400d")] = "90d",
    actor: _Actor = "",
) -> None:
    """Make a key and print it. It cannot be shown again."""
    until = timedelta(seconds=parse_duration_s(lifetime))
    if not is_id(key_id):
        raise ConfigurationError("the key's name must be 1 to 64 characters of A-Z a-z 0-9 _ -")
    if not MACHINE_ROLES.issuperset(role):
        raise ConfigurationError(f"a machine's roles are {', '.join(sorted(MACHINE_ROLES))}")
    if not timedelta(0) < until <= _LIFETIME_MAX:
        raise ConfigurationError("--lifetime must be more than nothing and at most 400d")

    async def verb(database: Database) -> str:
        async with database.transaction() as transaction:
            who = actor_from(actor)
            made = await add_machine_key(transaction, key_id, roles=role, created_by=who, lifetime=until)
            if made is None:
                raise ConfigurationError(f"there is or was a key {key_id}; take another name")
            key, expires_at = made
            after = {"roles": sorted(role), "expiresAt": expires_at}
            await transaction.execute(_AUDIT, who, "key.create", key_id, reason, orjson.dumps(after).decode())
        return key

    _print(_run(verb))


@app.command()
def ls(*, json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False) -> None:
    """Every key: its roles, its end, when it was last used. Never the key itself."""

    async def verb(database: Database) -> list[MachineKey]:
        async with database.connection() as connection:
            return await list_machine_keys(connection)

    keys = _run(verb)
    if json:
        _print(orjson.dumps({"keys": [asdict(key) | {"state": _state_of(key)} for key in keys]}).decode())
        return
    table = Table("id", "state", "roles", "made by", "expires", "last used")
    for key in keys:
        table.add_row(
            key.id, _state_of(key), ", ".join(key.roles), key.created_by, _day(key.expires_at), _day(key.last_used_at)
        )
    Console().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], reason: _Reason, actor: _Actor = "") -> None:
    """End a key now: the next request with it is refused."""

    async def verb(database: Database) -> None:
        async with database.transaction() as transaction:
            if not await revoke_machine_key(transaction, key_id):
                raise ConfigurationError(f"there is no key {key_id} in use")
            await transaction.execute(_AUDIT, actor_from(actor), "key.revoke", key_id, reason, None)

    _run(verb)
    _print(f"{key_id} is revoked")


def _run(verb: Callable[[Database], Awaitable[Told]]) -> Told:
    settings = Settings.from_environment()

    async def run() -> Told:
        async with open_database(
            settings, role="coursepay_operations", application="coursepay-keys", connections_max=1
        ) as database:
            return await verb(database)

    try:
        return asyncio.run(run())
    except RecordError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(EXIT_FAILED) from None


def actor_from(given: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", given or getpass.getuser())[:128]


def _state_of(key: MachineKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "in use"


def _day(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _print(text: str) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(text)

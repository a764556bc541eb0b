import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.common.database import open_database
from services.common.errors import ConfigurationError, DependencyError, TransientError
from services.common.settings import Settings
from services.operations.database_roles import OWNER, SERVICE_ROLES, _insist, ensure_roles
from services.operations.migrations import SQL_DIRECTORY, migrate
from services.sandbox.stack import Stack
from tests.support.command import run_coursepay
from tests.support.databases import create_database, drop_database
from tests.support.rows import Connection, insert

NAMES = sorted(path.stem for path in SQL_DIRECTORY.glob("*.sql"))
# A creator of roles has this of each since PostgreSQL 16, and not the right to act as one.
_AS_CREATOR = {True: "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE", False: "WITH ADMIN OPTION"}


@pytest.fixture
async def empty_url(stack: Stack) -> AsyncIterator[str]:
    """A database that nothing was applied to."""
    name = f"coursepay_test_{secrets.token_hex(6)}"
    yield await create_database(stack.database_url, name)
    await drop_database(stack.database_url, name)


@pytest.fixture
async def creator_url(empty_url: str) -> AsyncIterator[str]:
    """The same database, of a login that is no superuser but owns it and may create roles."""
    name = f"coursepay_login_{secrets.token_hex(6)}"
    superuser = await asyncpg.connect(empty_url)
    await superuser.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'secret'")
    database = urlsplit(empty_url).path.removeprefix("/")
    await superuser.execute(f"ALTER DATABASE {database} OWNER TO {name}")
    yield _with_login(empty_url, f"{name}:secret")
    await superuser.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
    await superuser.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}")
    await superuser.close()


def _with_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}"))


def _copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SQL_DIRECTORY, tmp_path / "sql"))


async def test_everything_is_applied_once_whoever_else_migrates(empty_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert sorted(map(list, applied)) == [[], [], [], NAMES]
    assert await migrate(empty_url) == []


async def test_several_databases_of_one_server_at_once(stack: Stack) -> None:
    names = [f"coursepay_test_{secrets.token_hex(6)}" for _ in range(3)]
    urls = [await create_database(stack.database_url, name) for name in names]
    try:
        assert await asyncio.gather(*(migrate(url) for url in urls)) == [NAMES] * 3
    finally:
        for name in names:
            await drop_database(stack.database_url, name)


async def test_a_role_that_all_want_to_create_is_created_once(stack: Stack) -> None:
    role = f"coursepay_test_{secrets.token_hex(6)}"
    connections = await asyncio.gather(*(asyncpg.connect(stack.database_url) for _ in range(6)))
    question = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
    try:
        await asyncio.gather(*(_insist(own, f"CREATE ROLE {role}", question, role) for own in connections))
        assert await connections[0].fetchval(question, role)
        await connections[0].execute(f"DROP ROLE {role}")
    finally:
        await asyncio.gather(*(own.close() for own in connections))


async def test_an_edited_file_is_refused_in_one_sentence(empty_url: str, tmp_path: Path) -> None:
    directory = _copy(tmp_path)
    await migrate(empty_url, directory)
    with (directory / "0001_tables.sql").open("a") as file:
        file.write("-- afterthought\n")
    with pytest.raises(ConfigurationError, match=r"sql/0001_tables\.sql was edited after it had been applied; restore"):
        await migrate(empty_url, directory)


async def test_an_older_release_does_not_touch_a_newer_database(empty_url: str, tmp_path: Path) -> None:
    directory = _copy(tmp_path)
    (directory / "9999_later.sql").write_text(_migration("CREATE TABLE later ()"))
    await migrate(empty_url, directory)
    with pytest.raises(ConfigurationError, match="9999_later"):
        await migrate(empty_url)


async def test_nothing_stays_of_a_file_that_failed_and_it_may_be_repaired(empty_url: str, tmp_path: Path) -> None:
    directory = _copy(tmp_path)
    (directory / "9999_broken.sql").write_text(_migration("CREATE TABLE first (); CREATE TABLE first ()"))
    with pytest.raises(ConfigurationError, match='9999_broken: relation "first" already exists'):
        await migrate(empty_url, directory)
    (directory / "9999_broken.sql").write_text(_migration("CREATE TABLE first ()"))
    assert await migrate(empty_url, directory) == ["9999_broken"]


async def test_a_table_in_use_is_not_the_files_fault(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.operations.migrations._TABLE_TIMEOUT", "100ms")
    directory = _copy(tmp_path)
    await migrate(empty_url, directory)
    (directory / "9999_later.sql").write_text(_migration("ALTER TABLE courses ADD COLUMN later text"))
    reader = await asyncpg.connect(empty_url)
    try:
        reading = reader.transaction()
        await reading.start()
        await reader.execute("SELECT FROM courses")
        with pytest.raises(TransientError):
            await migrate(empty_url, directory)
        await reading.rollback()
    finally:
        await reader.close()
    assert await migrate(empty_url, directory) == ["9999_later"]


def test_each_file_depends_on_the_one_before() -> None:
    """So that there is one order: the one of their numbers."""
    for name, before in zip(NAMES[1:], NAMES, strict=False):
        assert f"\n-- depends: {before}\n" in (SQL_DIRECTORY / f"{name}.sql").read_text(), name


async def test_a_file_of_another_form_is_refused(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "0001_formless.sql").write_text("CREATE TABLE first ()")
    with pytest.raises(ConfigurationError, match="begins with one line of comment"):
        await migrate(empty_url, tmp_path)
    with pytest.raises(ConfigurationError, match="there are no migrations"):
        await migrate(empty_url, tmp_path / "nowhere")


async def test_a_login_that_is_no_superuser_migrates_and_then_acts_as_each_service(
    empty_url: str, creator_url: str
) -> None:
    await _grant_as_to_a_creator(empty_url, creator_url)
    assert await migrate(creator_url) == NAMES
    for role in SERVICE_ROLES:
        settings = Settings.from_environment(database_url=creator_url)
        async with (
            open_database(settings, role=role, application="test", connections_max=1) as database,
            database.connection() as connection,
        ):
            assert await connection.fetchval("SELECT current_user") == role


async def test_a_login_without_rights_is_told_what_it_needs(empty_url: str) -> None:
    name = f"coursepay_login_{secrets.token_hex(6)}"
    superuser = await asyncpg.connect(empty_url)
    await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        with pytest.raises(ConfigurationError, match="must own the database and may have to create roles"):
            await migrate(_with_login(empty_url, f"{name}:secret"))
    finally:
        await superuser.execute(f"DROP ROLE {name}")
        await superuser.close()


async def test_holidays_of_the_calendars_in_use_are_filled_in(connection: Connection, database_url: str) -> None:
    await connection.execute("DELETE FROM holidays")
    await insert(connection, "courses", calendar="IN-KA")
    await insert(connection, "courses", calendar="ZZ")
    assert await migrate(database_url) == []
    calendars = await connection.fetch("SELECT calendar FROM holidays GROUP BY calendar HAVING count(*) > 30")
    assert {row["calendar"] for row in calendars} == {"IN", "IN-KA"}


async def test_no_server_is_a_dependency_away() -> None:
    with pytest.raises(DependencyError):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_the_command_says_what_it_did_and_exits_2_for_an_edited_file(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    """From another directory, too."""
    done = run_coursepay("migrate", directory=tmp_path, database_url=database_url)
    assert (done.returncode, done.stdout) == (0, "nothing to apply\n")
    await connection.execute("UPDATE migration_checksums SET sha256 = repeat('0', 64) WHERE name = '0003_progress'")
    refused = run_coursepay("migrate", directory=tmp_path, database_url=database_url)
    assert refused.returncode == 2
    assert refused.stderr.startswith("sql/0003_progress.sql was edited")
    assert refused.stderr.count("\n") == 1


def _migration(statement: str) -> str:
    return f"-- A later one.\n-- depends: {NAMES[-1]}\n\n-- migrate: apply\n\n{statement};\n\n-- migrate: rollback\n"


async def _grant_as_to_a_creator(superuser_url: str, creator_url: str) -> None:
    """The server's roles may be another creator's."""
    superuser = await asyncpg.connect(superuser_url)
    await ensure_roles(superuser)
    option = _AS_CREATOR[superuser.get_server_version().major >= 16]
    for role in (OWNER, *SERVICE_ROLES):
        await superuser.execute(f"GRANT {role} TO {urlsplit(creator_url).username} {option}")
    await superuser.close()

"""What the pages tell to ask PostgreSQL, in a database as it is now: a renamed column would be found at night."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import owner_connection
from tests.support.tidy import ROOT

_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^ *```(?:\w*)\n.*?^ *```", re.MULTILINE | re.DOTALL)
_SQL_BLOCK = re.compile(r"^ *```sql\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_PSQL = re.compile(r'psql "\$COURSEPAY_DATABASE_URL" -c "([^"]+)"')
_INLINE = re.compile(r"`((?:SELECT|UPDATE|DELETE|INSERT|ANALYZE) [^`]+)`")
# They cannot be rolled back, or are tried where there is what they name.
_ELSEWHERE = re.compile(r"CREATE DATABASE|DROP DATABASE|gateway_[12]")


def statements(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    found = [*_SQL_BLOCK.findall(text), *_PSQL.findall(text)]
    found += [" ".join(sql.split()) for sql in _INLINE.findall(_BLOCK.sub("", text))]
    yield from (sql for sql in found if not _ELSEWHERE.search(sql))


@pytest.mark.parametrize("page", [page for page in _PAGES if any(statements(page))], ids=lambda page: page.stem)
async def test_postgresql_runs_every_statement(page: Path, database_url: str) -> None:
    async with owner_connection(database_url) as connection:
        for statement in statements(page):
            transaction = connection.transaction()
            await transaction.start()
            # A transaction of the page's own would end this one.
            await connection.execute(re.sub(r"^(?:BEGIN|COMMIT);$", "", statement, flags=re.MULTILINE))
            await transaction.rollback()


def test_the_runbook_has_most_of_them() -> None:
    assert len(list(statements(ROOT / "docs" / "runbook.md"))) >= 10

from pathlib import Path
from typing import Any

import orjson
import pytest

from services.assignment_worker.pendings import retry_pendings
from services.common.codec import load_codec
from services.common.database import open_database
from services.common.events import purchase_id_of
from services.common.settings import Settings
from tests.support.assignment import COURSE, SCHEDULE, World
from tests.support.command import run_coursepay

_COUNT = "SELECT count(*) FROM student_course_purchases"
_CSV = """orderId,studentId,courseId,purchaseTier,sessionsTotal,purchaseDate,startDate,timeSlot,weekdays,timeZone,mode
legacy-1,student-1,course-0001,20,14,2026-11-01T10:00:00+05:30,2027-11-01,18:00,1 3,Asia/Kolkata,online
"""


def _line(order_id: str, **overrides: object) -> dict[str, Any]:
    return {
        "orderId": order_id,
        "studentId": "student-1",
        "courseId": COURSE,
        "purchaseTier": 10,
        "purchaseDate": "2026-11-01T10:00:00+05:30",
        "schedule": dict(SCHEDULE),
        "metadata": {"source": "old shop"},
    } | overrides


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "old.jsonl"


def _write(sheet: Path, *lines: dict[str, Any]) -> None:
    sheet.write_bytes(b"\n".join(map(orjson.dumps, lines)) + b"\n")


def _import(world: World, sheet: Path, *options: str) -> tuple[int, str, str]:
    done = run_coursepay("import", "purchases", str(sheet), *options, directory=sheet.parent, database_url=world.url)
    return done.returncode, done.stdout.strip(), done.stderr


async def test_a_file_is_only_checked_until_told_and_added_once(world: World, sheet: Path) -> None:
    _write(sheet, _line("legacy-1"), _line("legacy-2", studentId="student-2"))
    code, told, _ = _import(world, sheet)
    assert (code, told.split(";")[0]) == (0, "2 to add, 0 there already")
    assert await world.connection.fetchval(_COUNT) == 0
    assert _import(world, sheet, "--execute")[:2] == (0, "2 added, 0 there already")
    assert _import(world, sheet, "--execute")[:2] == (0, "0 added, 2 there already")
    assert await world.connection.fetchval(_COUNT) == 2


async def test_an_imported_purchase_gets_a_trainer_and_its_sessions(world: World, tmp_path: Path) -> None:
    sheet = tmp_path / "old.csv"
    sheet.write_text(_CSV)
    assert _import(world, sheet, "--execute")[:2] == (0, "1 added, 0 there already")
    await world.trainer("trainer-1")
    told = await world.assign(purchase_id_of("legacy-1"))
    assert (told["result"], told["session_count"], told["trainer_id"]) == ("ok", 14, "trainer-1")
    row = await world.connection.fetchrow("SELECT * FROM student_course_purchases")
    assert row is not None
    assert (row["purchase_tier"], row["sessions_total"], row["status"]) == (20, 14, "active")


async def test_an_imported_purchase_is_tried_at_once_and_waits_like_any_other(world: World, sheet: Path) -> None:
    await world.trainer("trainer-1")
    _write(sheet, _line("legacy-1"), _line("legacy-2", studentId="student-2"))
    assert _import(world, sheet, "--execute")[0] == 0
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as database:
        assert await retry_pendings(database, load_codec()) == 2
    rows = await world.connection.fetch("SELECT type FROM outbox ORDER BY type")
    assert [row["type"] for row in rows] == ["AllocationPending", "TrainerAssigned"]


async def test_one_mistake_and_nothing_is_added(world: World, sheet: Path) -> None:
    _write(sheet, _line("legacy-1"))
    assert _import(world, sheet, "--execute")[0] == 0
    _write(
        sheet,
        _line("legacy-2"),
        _line("ord_3"),
        _line("legacy-4", purchaseTier=11),
        _line("legacy-5", courseId="course-9999"),
        _line("legacy-6", purchaseDate="2026-11-01T10:00:00"),
        _line("legacy-2"),
        _line("legacy-1", studentId="student-9"),
        _line("legacy-7", expiryDate="2026-11-02T10:00:00Z"),
        _line("legacy-8", surprise=1),
        _line("legacy-9", purchaseTier=10, sessionsTotal=11),
    )
    code, told, mistakes = _import(world, sheet, "--execute")
    assert (code, told) == (1, "")
    for line, word in (
        (2, "orderId"),
        (3, "purchaseTier"),
        (4, "there is no course course-9999"),
        (5, "purchaseDate"),
        (6, "legacy-2 is on line 1 too"),
        (7, "legacy-1 is there with another student, course or tier"),
        (8, "legacy-7 has expired"),
        (9, "surprise"),
        (10, "sessionsTotal is more than the tier"),
    ):
        assert any(said.startswith(f"line {line}: ") and word in said for said in mistakes.splitlines()), (line, word)
    assert await world.connection.fetchval(_COUNT) == 1

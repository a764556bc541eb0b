"""Dates are expanded in SQL only; here Python's zoneinfo is the oracle. Its `fold=0` is our policy: a repeated hour is
the first one, a missing one moves on by the gap.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Zones whose rules are settled: PostgreSQL may use the system's tables and Python its own, of another release, and they
# differ where a country decides anew each year (Africa/Casablanca). The database's are the ones that count.
ZONES = (
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Johannesburg",
    "Antarctica/Troll",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "UTC",
)
# Around changes of the clocks, and anywhere.
STARTS = st.one_of(
    st.dates(date(2026, 12, 1), date(2030, 12, 31)),
    st.sampled_from([date(2027, 3, 10), date(2027, 3, 25), date(2027, 4, 1), date(2027, 10, 1), date(2027, 10, 28)]),
)
# The first of two hours of the same name: a slot does not say which one it means.
SLOTS = st.one_of(st.times(time(0, 0), time(3, 30)), st.times()).map(
    lambda moment: moment.replace(second=0, microsecond=0, fold=0)
)


class Database:
    """One connection under a loop of its own, because hypothesis drives functions, not coroutines."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self._connection = runner.run(asyncpg.connect(url, server_settings={"timezone": "UTC"}))

    def value(self, query: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the query tells
        return self._runner.run(self._connection.fetchval(query, *arguments))

    def close(self) -> None:
        self._runner.run(self._connection.close())


@pytest.fixture
def database(template: str) -> Iterator[Database]:
    with asyncio.Runner() as runner:
        connected = Database(runner, template)
        yield connected
        connected.close()


def _expected(
    first: date, slot: time, weekdays: set[int], zone: ZoneInfo, after: datetime, *, moved: timedelta
) -> Iterator[datetime]:
    day = max(first, after.astimezone(zone).date() - timedelta(days=1))
    while True:
        local = datetime.combine(day, slot) + moved
        start = local.replace(tzinfo=zone).astimezone(UTC)
        if day.isoweekday() in weekdays and local.date() >= first and start > after:
            yield start
        day += timedelta(days=1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=STARTS,
    slot=SLOTS,
    weekdays=st.sets(st.integers(1, 7), min_size=1),
    zone=st.sampled_from(ZONES),
    wanted=st.sampled_from([10, 20, 30]),
    minutes=st.integers(15, 480),
    after=st.datetimes(datetime(2026, 12, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    moved=st.sampled_from([0, -60, -30, 30, 60]),
)
def test_the_dates_of_a_weekly_slot(
    database: Database,
    *,
    first: date,
    slot: time,
    weekdays: set[int],
    zone: str,
    wanted: int,
    minutes: int,
    after: datetime,
    moved: int,
) -> None:
    until = max(after, datetime.combine(first, slot, UTC)) + timedelta(days=365)
    dates = database.value(
        "SELECT session_dates(ROW($1::date, $2::time, $3::int[], $4::text, $5::int, NULL)::weekly_slot,"
        " $6, $7, $8, $9)",
        first,
        slot,
        sorted(weekdays),
        zone,
        minutes,
        after,
        until,
        wanted,
        moved,
    )
    expected = list(islice(_expected(first, slot, weekdays, ZoneInfo(zone), after, moved=_minutes(moved)), wanted))
    assert [session.lower for session in dates] == [start for start in expected if start + _minutes(minutes) <= until]
    assert {session.upper - session.lower for session in dates} <= {_minutes(minutes)}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=STARTS, slot=SLOTS, zone=st.sampled_from(ZONES))
def test_the_instant_of_a_local_time(database: Database, day: date, slot: time, zone: str) -> None:
    found = database.value("SELECT instant_of($1, $2)", datetime.combine(day, slot), zone)
    assert found == datetime.combine(day, slot, ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "local_time", "expected"),
    [
        # Repeated: the first. PostgreSQL alone would say 06:30.
        ("America/New_York", datetime(2026, 11, 1, 1, 30), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),  # noqa: DTZ001
        # Missing: 03:30 in summer time.
        ("America/New_York", datetime(2027, 3, 14, 2, 30), datetime(2027, 3, 14, 7, 30, tzinfo=UTC)),  # noqa: DTZ001
        # A change of half an hour.
        ("Australia/Lord_Howe", datetime(2027, 4, 4, 1, 45), datetime(2027, 4, 3, 14, 45, tzinfo=UTC)),  # noqa: DTZ001
    ],
)
def test_hours_that_come_twice_or_never(
    database: Database, zone: str, local_time: datetime, expected: datetime
) -> None:
    assert database.value("SELECT instant_of($1, $2)", local_time, zone) == expected


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)

"""Whoever pays is told local times by one library and booked by another: a zone is accepted when both mean the same."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from services.common.validation import is_time_zone
from tests.support.assignment import World

# A year of which the rules are settled, so that the two may have data of different age. Every fifth day at two hours
# at which no clocks change.
MOMENTS = [
    datetime.combine(date(2021, 1, 1) + timedelta(days=day), time(hour))
    for day in range(0, 365, 5)
    for hour in (12, 18)
]
_INSTANTS = """
SELECT zone, array_agg(instant_of(moment, zone) ORDER BY moment) AS instants
  FROM unnest($1::text[]) AS zone, unnest($2::timestamp[]) AS moment
 GROUP BY zone
"""


async def test_of_every_accepted_zone(world: World) -> None:
    accepted = {name for name in available_timezones() if is_time_zone(name)}
    known = {row["name"] for row in await world.connection.fetch("SELECT name FROM pg_timezone_names")}
    # One is made every few years, and the older of the two does not know it yet.
    assert len(accepted - known) <= 3
    zones = sorted(accepted & known)
    assert len(zones) > 500
    rows = await world.connection.fetch(_INSTANTS, zones, MOMENTS)
    assert {row["zone"]: row["instants"] for row in rows} == {
        zone: [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in MOMENTS] for zone in zones
    }


@pytest.mark.parametrize(
    "zone",
    [
        *("CET", "EET", "MET", "WET", "localtime", "posixrules", "Factory", "posix/Asia/Kolkata", "right/Asia/Kolkata"),
        *("IST", "asia/kolkata", "UTC+5", "+05:30", "", "/etc/localtime"),
    ],
)
def test_of_no_other_name(zone: str) -> None:
    assert not is_time_zone(zone)


@pytest.mark.parametrize(
    "zone", ["Asia/Kolkata", "Asia/Calcutta", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5", "Singapore"]
)
def test_names_that_people_use(zone: str) -> None:
    assert is_time_zone(zone)

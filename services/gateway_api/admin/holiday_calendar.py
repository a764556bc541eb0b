"""Public holidays of a calendar, from the holidays library into the table that the assignment reads.

Table: holidays (added to; a day once stored stays, sessions were planned round it).
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime

import holidays

from services.common.database import Transaction
from services.gateway_api.web.reading import invalid

# Orders start up to 400 days ahead and a course may stretch over more than a year from there.
_YEARS_AHEAD = 4
_INSERT = """
INSERT INTO holidays (calendar, day, name)
SELECT $1, day, name FROM unnest($2::date[], $3::text[]) AS given (day, name)
ON CONFLICT (calendar, day) DO NOTHING
"""


async def holidays_of(calendar: str) -> Mapping[date, str]:
    """From this year on, for `IN` or `IN-KA`. Raises Problem 422 for a calendar that the library does not know."""
    # Loading a country's rules reads files and takes tens of milliseconds.
    return await asyncio.to_thread(_look_up, calendar)


async def fill_holidays(transaction: Transaction, calendar: str, days: Mapping[date, str]) -> None:
    await transaction.execute(_INSERT, calendar, list(days), list(days.values()))


def _look_up(calendar: str) -> Mapping[date, str]:
    country, _, region = calendar.partition("-")
    this_year = datetime.now(UTC).year
    try:
        found = holidays.country_holidays(
            country, subdiv=region or None, years=range(this_year, this_year + _YEARS_AHEAD + 1)
        )
    except NotImplementedError:
        raise invalid(("calendar", "not a known country or region")) from None
    return dict(found.items())

"""Purchases that fail by exception at first and come through at their first retry, by a trigger: the worker has no
switch for it.
"""

from collections.abc import Iterable

import asyncpg

from services.common.settings import Settings

# A sequence for each order that fails: it keeps the moment of the first try across the rollbacks that failing causes.
_INSTALL = """
    CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        first_tried regclass := to_regclass('tried_' || NEW.order_id);
        now_ms bigint := extract(epoch FROM clock_timestamp()) * 1000;
    BEGIN
        IF first_tried IS NOT NULL
           AND now_ms < coalesce(pg_sequence_last_value(first_tried), setval(first_tried, now_ms)) + 1500 THEN
            RAISE EXCEPTION 'at first this fails'
                USING DETAIL = CASE WHEN TG_ARGV[0] = 'named' THEN NEW.order_id ELSE '' END;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fails BEFORE INSERT ON student_course_purchases
    FOR EACH ROW WHEN (NEW.order_id LIKE '%37') EXECUTE FUNCTION fail_at_first('{how}');
"""


def failing(order_ids: Iterable[str]) -> list[str]:
    return [order_id for order_id in order_ids if order_id.endswith("37")]


async def fail_one_in_a_hundred(settings: Settings, order_ids: Iterable[str], *, named: bool) -> None:
    """`named`: the error's DETAIL names the order, as that of a constraint does."""
    connection = await asyncpg.connect(settings.required_database_url())
    try:
        await connection.execute(_INSTALL.replace("{how}", "named" if named else "unnamed"))
        async with connection.transaction():
            for order_id in failing(order_ids):
                await connection.execute(f'CREATE SEQUENCE "tried_{order_id}"')
    finally:
        await connection.close()

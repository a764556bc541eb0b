"""Makes some purchases fail, by a trigger in the demo's own database: the services have no switch for a demo.

Failing once: the purchase raises a deadlock for the first second after it was first tried, longer than the quick tries
of one attempt and shorter than the first retry tier. The moment of the first try is kept in a sequence, because
a sequence survives the rollback that each failure causes. Failing always: it raises P0001 until the retries end.
"""

from services.common.database import Database
from services.sandbox.demo.plan import Failure, Plan

_INSTALL = """
    CREATE SCHEMA sandbox;
    CREATE TABLE sandbox.failing_purchases (
        order_id text PRIMARY KEY,
        failure text NOT NULL CHECK (failure IN ('once', 'always')),
        first_tried regclass NOT NULL
    );
    CREATE FUNCTION sandbox.fail_purchase() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        failing sandbox.failing_purchases;
        now_ms bigint := extract(epoch FROM clock_timestamp()) * 1000;
        first_ms bigint;
    BEGIN
        SELECT * INTO failing FROM sandbox.failing_purchases WHERE order_id = NEW.order_id;
        IF NOT FOUND THEN
            RETURN NEW;
        ELSIF failing.failure = 'always' THEN
            RAISE EXCEPTION 'the sandbox refuses this purchase';
        END IF;
        first_ms := coalesce(pg_sequence_last_value(failing.first_tried), setval(failing.first_tried, now_ms));
        IF now_ms < first_ms + 1000 THEN
            RAISE EXCEPTION 'the sandbox pretends a deadlock' USING ERRCODE = '40P01';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER sandbox_fails BEFORE INSERT ON student_course_purchases
    FOR EACH ROW EXECUTE FUNCTION sandbox.fail_purchase();
"""
_ADD = """
    INSERT INTO sandbox.failing_purchases (order_id, failure, first_tried) VALUES ($1, $2, $3::text::regclass)
"""


async def install_sabotage(database: Database, plan: Plan) -> None:
    """`database` acts as its owner. The sequences are made here, since DDL under load would wait for locks."""
    async with database.transaction() as transaction:
        await transaction.execute(_INSTALL)
        for journey in plan.journeys:
            if journey.failure is not None:
                await transaction.execute(f"CREATE SEQUENCE {_sequence(journey.number)}")


async def sabotage(database: Database, *, order_id: str, number: int, failure: Failure) -> None:
    """From now on the purchase of this order fails. `number` is its journey's."""
    async with database.connection() as connection:
        await connection.execute(_ADD, order_id, failure, _sequence(number))


def _sequence(number: int) -> str:
    return f"sandbox.first_tried_{number:d}"

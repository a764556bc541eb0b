"""Makes purchases fail by a trigger, as a broken database would; the services have no switch for it."""

from services.common.settings import Settings
from tests.support.gateway import owner_connection

# P0001 is transient: retried until the tiers end. A sequence survives the rollbacks that the failures cause.
_BREAK = """
CREATE SEQUENCE purchases_tried;
GRANT USAGE ON SEQUENCE purchases_tried TO PUBLIC;
CREATE FUNCTION break_purchases() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.student_id = 'student-bad' AND nextval('purchases_tried') <= {failures} THEN
        RAISE EXCEPTION 'the test refuses this purchase';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER broken BEFORE INSERT ON student_course_purchases FOR EACH ROW EXECUTE FUNCTION break_purchases();
"""


async def break_purchases(settings: Settings, *, failures: int) -> None:
    """The purchases of student-bad fail so many times in all."""
    async with owner_connection(settings.required_database_url()) as connection:
        await connection.execute(_BREAK.format(failures=failures))


async def repair_purchases(settings: Settings) -> None:
    async with owner_connection(settings.required_database_url()) as connection:
        await connection.execute("DROP TRIGGER broken ON student_course_purchases")

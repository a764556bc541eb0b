"""A database with a hundred thousand trainers, made by a few statements within seconds.

A fifth of them teach course-0001, the others one of 200 courses; a fifth teach in person, round Bengaluru. A thousand
purchases are taught, as many wait and many more are over, so that no table is small enough to be read as a whole.
"""

import asyncpg

TRAINERS = 100_000
PURCHASES = 1_000
_OFFERS = """
WITH weeks AS MATERIALIZED (
    SELECT number, slots, working_minutes(slots) AS working,
           working_half_hours(working_minutes(slots), 'Asia/Kolkata') AS half_hours
      FROM (SELECT number, jsonb_agg(jsonb_build_object('weekday', day, 'from', (8 + number) || ':00',
                                                        'to', (13 + number) || ':00')) AS slots
              FROM generate_series(0, 9) AS number, generate_series(1, 7) AS day
             WHERE (day + number) % 5 <> 0
             GROUP BY number) AS chosen
), made AS (
    INSERT INTO trainers (trainer_id, name, gender, modes, time_zone, latitude, longitude, travel_radius_km,
                          weekly_capacity_minutes, weekly_slots, working)
    SELECT 'trainer-' || lpad(n::text, 6, '0'), 'a trainer', CASE WHEN random() < 0.5 THEN 'female' ELSE 'male' END,
           CASE WHEN random() < 0.2 THEN '{online,in_person}' ELSE '{online}' END::text[], 'Asia/Kolkata',
           12.5 + random(), 77.5 + random(), 8, 1200, slots, working
      FROM generate_series(1, $1) AS n JOIN weeks ON number = n % 10
    RETURNING *
)
INSERT INTO trainer_offers (course_id, trainer_id, active, gender, online, in_person, place, travel_radius_km, reach,
                            working_slots, breadth, weekly_capacity_minutes, load_minutes, freed_at)
SELECT CASE WHEN random() < 0.2 THEN 'course-0001' ELSE 'course-' || lpad((random() * 200)::integer::text, 4, '0') END,
       trainer_id, true, gender, true, 'in_person' = ANY (modes), point(longitude, latitude), 8,
       box_round(latitude, longitude, 12), half_hours, 0.5, 1200, 0, now() - interval '1 day'
  FROM made JOIN weeks USING (working)
"""
_PURCHASES = """
WITH bought AS (
    INSERT INTO student_course_purchases (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date,
                                          expiry_date, metadata)
    SELECT 'order-' || wanted || n, 'student-' || wanted || n, 'course-' || lpad((n % 200)::text, 4, '0'), 10, 10,
           now(), now() + interval '1 year', $2::jsonb
      FROM generate_series(1, $1) AS n, unnest('{approved,pending}'::text[]) AS wanted
    RETURNING *
), allocated AS (
    INSERT INTO trainer_allocations (purchase_id, student_id, course_id, trainer_id, status, weekly_minutes)
    SELECT id, student_id, course_id, CASE wanted WHEN 'approved' THEN 'trainer-' || lpad(number, 6, '0') END, wanted, 0
      FROM bought, LATERAL (SELECT split_part(order_id, '-', 2)) AS named (name),
           LATERAL (SELECT substring(name FROM '[a-z]+'), substring(name FROM '[0-9]+')) AS parts (wanted, number)
    RETURNING *
)
INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at)
SELECT id, week, trainer_id, student_id, course_id, first + (week - 1) * interval '7 days',
       first + (week - 1) * interval '7 days' + interval '1 hour'
  FROM allocated, generate_series(1, 10) AS week,
       LATERAL (SELECT date_trunc('day', now()) + interval '3 days 8 hours') AS start (first)
 WHERE status = 'approved'
"""
_EXPIRED = """
INSERT INTO student_course_purchases (order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date,
                                      expiry_date, status)
SELECT 'order-expired' || n, 'student-' || n, 'course-0001', 10, 10, now() - interval '2 years',
       now() - interval '1 year', 'expired'
  FROM generate_series(1, $1) AS n
"""
_TIME_OFF = """
INSERT INTO trainer_time_off (trainer_id, starts_at, ends_at)
SELECT 'trainer-' || lpad(n::text, 6, '0'), now() + interval '2 years', now() + interval '2 years 1 week'
  FROM generate_series(1, $1, 20) AS n
"""
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index WHERE indrelid = 'trainer_offers'::regclass AND NOT indisprimary
"""


async def add_many_trainers(connection: "asyncpg.Connection[asyncpg.Record]", schedule: str) -> None:
    """`schedule`: of all purchases, as JSON. Indexes are made after the rows, and what is referred to is not looked up:
    that halves the time.
    """
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SELECT setseed(0.5)")
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute(_OFFERS, TRAINERS)
    for index in indexes:
        await connection.execute(index["definition"])
    await connection.execute("SET session_replication_role = origin")
    await connection.execute(_TIME_OFF, TRAINERS)
    await connection.execute(_PURCHASES, PURCHASES, schedule)
    await connection.execute(_EXPIRED, 20 * PURCHASES)
    await connection.execute("ANALYZE")

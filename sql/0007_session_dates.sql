-- When sessions are: local dates of a weekly slot, expanded here and nowhere else, for every path that books one.
-- depends: 0006_grants

-- migrate: apply

-- What reads a table is PL/pgSQL here and in the files after: its plans last as long as the connection, those of an SQL
-- function that cannot be inlined as long as a transaction, which is one decision.

-- The instant of a local time. A time that comes twice (clocks go back) is the first one, a time that is missing
-- (clocks go forward) moves on by the gap: both are "by the offset from before the change". PostgreSQL itself takes
-- the second of a repeated hour.
CREATE FUNCTION instant_of(local_time timestamp, zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    as_postgresql timestamptz := local_time AT TIME ZONE zone;
    day_before timestamptz := as_postgresql - interval '24 hours';
    offset_before interval := (day_before AT TIME ZONE zone) - (day_before AT TIME ZONE 'UTC');
    earlier timestamptz := (local_time - offset_before) AT TIME ZONE 'UTC';
BEGIN
    RETURN CASE WHEN earlier AT TIME ZONE zone = local_time THEN least(earlier, as_postgresql) ELSE as_postgresql END;
END
$$;

-- The minute of the week, from Monday 00:00 in the zone; 1970 began on a Thursday. One date_part, because three
-- extracts, each a numeric, made the look at a trainer's hours take twice as long.
CREATE FUNCTION local_minute(moment timestamptz, zone text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ((floor(date_part('epoch', moment AT TIME ZONE zone) / 60)::bigint + 3 * 1440) % 10080)::integer
$$;

-- The half hours of the week from Monday 00:00 UTC that these sessions touch.
CREATE FUNCTION touched_half_hours(dates tstzrange[]) RETURNS bit(336)
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (SELECT COALESCE(bit_or(set_bit(0::bit(336), half_hour % 336, 1)), 0::bit(336))
              FROM (SELECT DISTINCT local_minute(lower(session), 'UTC') AS starts,
                           (date_part('epoch', upper(session) - lower(session)) / 60)::integer AS lasts
                      FROM unnest(dates) AS session) AS weekly,
                   generate_series(starts / 30, (starts + lasts - 1) / 30) AS half_hour);
END
$$;

-- A wish for a weekly slot, as the body of POST /orders has it under `schedule`.
CREATE TYPE weekly_slot AS (
    start_date date,
    starts_at time,
    weekdays integer[],
    time_zone text,
    duration_minutes integer,
    calendar text
);

-- A purchase from before coursepay may have its slot in the metadata only.
CREATE FUNCTION weekly_slot_of(bought student_course_purchases) RETURNS weekly_slot
LANGUAGE plpgsql STABLE AS $$
DECLARE
    slot weekly_slot;
    wished jsonb := bought.metadata || COALESCE(bought.metadata -> 'schedule', '{}');
BEGIN
    slot.start_date := COALESCE(wished ->> 'startDate', wished ->> 'date');
    slot.starts_at := wished ->> 'timeSlot';
    slot.weekdays := COALESCE((SELECT array_agg(DISTINCT day::integer)
                                 FROM jsonb_array_elements_text(wished -> 'weekdays') AS day),
                              ARRAY[extract(isodow FROM slot.start_date)::integer]);
    slot.time_zone := wished ->> 'timeZone';
    slot.duration_minutes := COALESCE((wished ->> 'durationMinutes')::integer, 60);
    slot.calendar := (SELECT calendar FROM courses WHERE course_id = bought.course_id);
    RETURN slot;
END
$$;

-- The first `wanted` sessions that start after `after` and end by `until`, in order; fewer when there are no more.
-- Holidays of the course's calendar are left out. `moved_minutes` and `moved_days` shift the whole pattern; past
-- midnight it is on the day after or before, and that is the day that must be no holiday and not before the start.
CREATE FUNCTION session_dates(
    slot weekly_slot, after timestamptz, until timestamptz, wanted integer,
    moved_minutes integer DEFAULT 0, moved_days integer DEFAULT 0
) RETURNS tstzrange[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    dates tstzrange[] := '{}';
    -- A day early, because a shifted session may be on the day before.
    today date := greatest(slot.start_date, (after AT TIME ZONE slot.time_zone)::date - 1);
    last_day date := (until AT TIME ZONE slot.time_zone)::date + 1;
    days_off date[] := ARRAY(SELECT holidays.day FROM holidays
                              WHERE holidays.calendar = slot.calendar
                                AND holidays.day BETWEEN today - 1 AND last_day + 1);
    weekdays integer[] := ARRAY(SELECT (weekday + moved_days - 1) % 7 + 1 FROM unnest(slot.weekdays) AS weekday);
    -- From the midnight of a day: a time of day would stay on it.
    since_midnight interval := slot.starts_at::interval + make_interval(mins => moved_minutes);
    local_start timestamp;
    starts timestamptz;
    ends timestamptz;
BEGIN
    WHILE cardinality(dates) < wanted AND today <= last_day LOOP
        local_start := today + since_midnight;
        IF extract(isodow FROM today)::integer = ANY (weekdays)
           AND local_start::date >= slot.start_date AND NOT local_start::date = ANY (days_off) THEN
            starts := instant_of(local_start, slot.time_zone);
            ends := starts + make_interval(mins => slot.duration_minutes);
            IF starts > after AND ends <= until THEN
                dates := dates || tstzrange(starts, ends, '[)');
            END IF;
        END IF;
        today := today + 1;
    END LOOP;
    RETURN dates;
END
$$;

-- As one multirange, to ask for overlaps with one look at an index; each widened by the minutes of travel.
CREATE FUNCTION held_by(dates tstzrange[], travel_minutes integer) RETURNS tstzmultirange
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT range_agg(held_range(lower(session), upper(session), travel_minutes))
              FROM unnest(dates) AS session);
END
$$;

-- migrate: rollback

-- Who could teach: the search for trainers who fit a wish, in the order in which they are tried, without writing.
-- depends: 0007_session_dates

-- migrate: apply

-- What is looked for. `dates`: the sessions wanted and up to 20 % to spare, for leave and for a few conflicts.
-- `relaxation`: what of the student's wish was given up for it; null: nothing. `may_move_minutes`: how far the student
-- lets single sessions be moved. To look what a swap would bring: `without` is an allocation whose sessions are thought
-- away, `barred` a trainer who is not taken; else null.
CREATE TYPE tutoring_wish AS (
    purchase_id uuid,
    student_id text,
    course_id text,
    online boolean,
    gender text,
    latitude double precision,
    longitude double precision,
    radius_factor double precision,
    weekly_minutes integer,
    sessions integer,
    travel_minutes integer,
    dates tstzrange[],
    half_hours bit(336),
    relaxation text,
    moved_minutes integer,
    moved_days integer,
    may_move_minutes integer,
    without uuid,
    barred text
);

-- An offer that passed the filters, with the parts of its rank: load in quarters, then cost in hundredths, then
-- tie_break. Whole numbers, because a page has hundreds of them and rounding to numeric takes longer than the search.
CREATE TYPE ranked_offer AS (
    trainer_id text,
    load_quarter integer,
    cost integer,
    distance_m integer,
    continuity boolean,
    breadth real,
    tie_break bigint
);

-- A bounded part of a course's offers. `left_after`: how many were left after specialty, gender, slot, capacity and
-- radius.
CREATE TYPE offers_page AS (
    seen integer,
    last_ratio integer,
    last_trainer text,
    left_after integer[],
    ranked ranked_offer[]
);

-- Great-circle distance. (longitude, latitude) in degrees, a sphere of the earth's mean radius.
CREATE FUNCTION distance_km(one point, two point) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 2 * 6371.0088 * asin(least(1, sqrt(
        sin(radians(two[1] - one[1]) / 2) ^ 2
        + cos(radians(one[1])) * cos(radians(two[1])) * sin(radians(two[0] - one[0]) / 2) ^ 2)))
$$;

-- The next page: `rows_max` offers by load after (`after_ratio`, `after_trainer`), or as many whose reach holds the
-- student's place (`by_place`), or one trainer's. The LIMIT inside makes the plan a walk along one index, whatever the
-- planner believes of the filters; they are applied to its rows.
-- `passed` is the first filter that an offer fails: 1 specialty, 2 gender, 3 slot, 4 capacity, 5 radius; 6: none.
CREATE FUNCTION next_page(
    wish tutoring_wish, only_trainer text, by_place boolean, after_ratio integer, after_trainer text, rows_max bigint
) RETURNS offers_page
-- No sort, else a planner that believes the course is small (statistics from before a catalogue came) reads all of it
-- and sorts. The price that this puts on the sort of the result must not start the compiler. Nor is it asked for a plan
-- at each call: that took a tenth of a decision's time, and was the same one.
LANGUAGE plpgsql STABLE SET enable_sort = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    page offers_page;
    home point := point(wish.longitude, wish.latitude);
    seed bigint := hashtextextended(wish.purchase_id::text, 0);
    known text[] := ARRAY(SELECT DISTINCT earlier.trainer_id FROM tutoring_sessions earlier
                           WHERE earlier.student_id = wish.student_id AND earlier.status <> 'cancelled');
BEGIN
    WITH offers AS MATERIALIZED (
        (SELECT * FROM trainer_offers
          WHERE only_trainer IS NULL AND NOT by_place AND course_id = wish.course_id AND active
            AND (load_ratio, trainer_id) > (after_ratio, after_trainer)
          ORDER BY load_ratio, trainer_id
          LIMIT rows_max)
        UNION ALL
        (SELECT * FROM trainer_offers
          WHERE only_trainer IS NULL AND by_place AND active AND in_person
            AND hashtextextended(course_id, 0) = hashtextextended(wish.course_id, 0) AND course_id = wish.course_id
            -- Also where the place is counted on beyond the 180th meridian.
            AND (reach @> box(home, home)
                 OR reach @> box(home + point(360, 0), home + point(360, 0))
                 OR reach @> box(home - point(360, 0), home - point(360, 0)))
          LIMIT rows_max)
        UNION ALL
        SELECT * FROM trainer_offers
         WHERE course_id = wish.course_id AND trainer_id = only_trainer AND active
    ), judged AS (
        SELECT offers.*, distance,
               CASE WHEN wish.online AND NOT online THEN 1
                    WHEN gender IS DISTINCT FROM wish.gender AND wish.gender IS NOT NULL THEN 2
                    WHEN working_slots & wish.half_hours <> wish.half_hours THEN 3
                    WHEN load_minutes + wish.weekly_minutes > weekly_capacity_minutes THEN 4
                    WHEN NOT wish.online
                         AND (distance IS NULL OR distance > travel_radius_km * wish.radius_factor) THEN 5
                    ELSE 6 END AS passed
          FROM offers,
               LATERAL (SELECT CASE WHEN in_person AND NOT wish.online THEN distance_km(place, home) END)
                       AS way (distance)
    ), ranked AS (
        SELECT (trainer_id, least(load_minutes * 4 / greatest(weekly_capacity_minutes, 1), 4),
                -- What a trainer costs within a quarter of load: the way, as a share of what the trainer would go; half
                -- as much for breadth; half a way is worth a trainer whom the student knows.
                (100 * COALESCE(distance / greatest(travel_radius_km, 1), 0) + 50 * breadth)::integer
                - CASE WHEN trainer_id = ANY (known) THEN 50 ELSE 0 END,
                (distance * 1000)::integer, trainer_id = ANY (known), breadth,
                hashtextextended(trainer_id, seed))::ranked_offer AS offer
          FROM judged WHERE passed = 6
    )
    SELECT (SELECT count(*) FROM offers), last.load_ratio, last.trainer_id,
           (SELECT ARRAY[count(*) FILTER (WHERE passed > 1), count(*) FILTER (WHERE passed > 2),
                         count(*) FILTER (WHERE passed > 3), count(*) FILTER (WHERE passed > 4),
                         count(*) FILTER (WHERE passed > 5)]::integer[] FROM judged),
           ARRAY(SELECT offer FROM ranked
                  ORDER BY (offer).load_quarter, (offer).cost, (offer).tie_break, (offer).trainer_id)
      INTO page.seen, page.last_ratio, page.last_trainer, page.left_after, page.ranked
      FROM (SELECT) AS one LEFT JOIN LATERAL
           (SELECT load_ratio, trainer_id FROM offers ORDER BY load_ratio DESC, trainer_id DESC LIMIT 1) AS last
           ON true;
    RETURN page;
END
$$;

-- The dates on which this trainer would teach, with `failed` null; or `failed`: slot, leave or student-clash.
-- Dates lost to leave are replaced from the spare ones, and so are those lost to other sessions when they are few.
CREATE FUNCTION bookable_dates(
    wish tutoring_wish, trainer text, OUT failed text, OUT chosen tstzrange[], OUT version integer
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    working int4multirange;
    zone text;
    wanted tstzmultirange;
    free tstzrange[];
BEGIN
    SELECT found.working, found.time_zone, found.version INTO working, zone, version
      FROM trainers found WHERE found.trainer_id = trainer;
    SELECT array_agg(session ORDER BY session) INTO free
      FROM unnest(wish.dates) AS session
     WHERE NOT EXISTS (SELECT FROM trainer_time_off off
                        WHERE off.trainer_id = trainer AND tstzrange(off.starts_at, off.ends_at, '[)') && session);
    IF COALESCE(cardinality(free), 0) < wish.sessions THEN
        failed := 'leave';
        RETURN;
    END IF;
    chosen := free[:wish.sessions];
    wanted := held_by(chosen, wish.travel_minutes);
    IF EXISTS (SELECT FROM tutoring_sessions busy
                WHERE hashtextextended(busy.trainer_id, 0) = hashtextextended(trainer, 0)
                  AND busy.trainer_id = trainer AND busy.status IN ('scheduled', 'completed')
                  AND busy.held && wanted AND busy.allocation_id IS DISTINCT FROM wish.without) THEN
        chosen := dates_past_conflicts(wish, trainer, working, zone, free);
    END IF;
    failed := CASE
        WHEN chosen IS NULL OR NOT works_at(working, zone, chosen) THEN 'slot'
        -- The first dates are asked about once for all candidates.
        WHEN chosen <> wish.dates[:wish.sessions] AND student_is_busy(wish.student_id, chosen, wish.without)
            THEN 'student-clash'
    END;
END
$$;

CREATE FUNCTION works_at(working int4multirange, zone text, dates tstzrange[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM unnest(dates) AS session,
                              LATERAL (SELECT local_minute(lower(session), zone)) AS local_time (starts)
                        WHERE NOT working @> int4range(starts, starts
                                  + (date_part('epoch', upper(session) - lower(session)) / 60)::integer));
END
$$;

-- The sessions of the allocation `without` are thought away.
CREATE FUNCTION student_is_busy(student text, dates tstzrange[], without uuid DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted tstzmultirange := held_by(dates, 0);
BEGIN
    RETURN EXISTS (SELECT FROM tutoring_sessions busy
                    WHERE hashtextextended(busy.student_id, 0) = hashtextextended(student, 0)
                      AND busy.student_id = student AND busy.status IN ('scheduled', 'completed')
                      AND tstzrange(busy.starts_at, busy.ends_at, '[)') && wanted
                      AND busy.allocation_id IS DISTINCT FROM student_is_busy.without);
END
$$;

-- The wish of a purchase for `wanted` sessions after now, once for each way to give up what `relaxation` names; null:
-- as the student said it. In the order in which they are tried: earlier before later, nearer days first.
-- The half hours are those of the wanted dates: after a change of the clocks a spare one may be at an hour at which a
-- trainer who can take all the wanted ones does not work.
CREATE FUNCTION wishes_of(bought student_course_purchases, relaxation text, wanted integer)
RETURNS SETOF tutoring_wish
LANGUAGE sql STABLE AS $$
    SELECT bought.id, bought.student_id, bought.course_id, online,
           CASE WHEN relaxation = 'gender' THEN NULL ELSE schedule ->> 'preferredGender' END,
           (schedule #>> '{location,latitude}')::double precision,
           (schedule #>> '{location,longitude}')::double precision,
           CASE WHEN relaxation = 'radius' THEN 1.5 ELSE 1 END, slot.duration_minutes * cardinality(slot.weekdays),
           wanted, CASE WHEN online THEN 0 ELSE 15 END, dates, touched_half_hours(dates[:wanted]), relaxation,
           moved.minutes, moved.days,
           CASE WHEN schedule -> 'flexibility' ? 'time_60' THEN 60
                WHEN schedule -> 'flexibility' ? 'time_30' THEN 30 ELSE 0 END, NULL::uuid, NULL::text
      FROM (SELECT COALESCE(bought.metadata -> 'schedule', '{}')) AS wished (schedule),
           weekly_slot_of(bought) AS slot,
           LATERAL (SELECT relaxation IS NOT DISTINCT FROM 'online'
                           OR COALESCE(schedule ->> 'mode', 'online') = 'online') AS place (online),
           LATERAL (SELECT minutes, 0 FROM unnest(CASE relaxation WHEN 'time_30' THEN '{-30,30}'
                                                  WHEN 'time_60' THEN '{-60,60}' ELSE '{0}' END::integer[]) AS minutes
                     WHERE relaxation IS DISTINCT FROM 'weekday'
                    UNION ALL
                    SELECT 0, days FROM generate_series(1, 6) AS days
                     WHERE relaxation = 'weekday') AS moved (minutes, days),
           -- In FROM, so that they are worked out once and not for each mention.
           session_dates(slot, clock_timestamp(), bought.expiry_date, wanted + wanted / 5, moved.minutes, moved.days)
               AS dates
$$;

-- migrate: rollback

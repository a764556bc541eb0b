-- What a trainer offers: one row per course, worked out from the definition that PUT trainers gave.
-- depends: 0003_progress

-- migrate: apply

-- "18:30" -> 1110; "24:00" -> 1440.
CREATE FUNCTION minutes_of(local_time text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT split_part(local_time, ':', 1)::integer * 60 + split_part(local_time, ':', 2)::integer
$$;

-- [{weekday, from, to}] as minutes from Monday 00:00, the week twice: a session may cross its end.
CREATE FUNCTION working_minutes(weekly_slots jsonb) RETURNS int4multirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(range_agg(int4range(midnight + minutes_of(slot ->> 'from'), midnight + minutes_of(slot ->> 'to'))),
                    '{}')
      FROM jsonb_array_elements(weekly_slots) AS given (slot),
           unnest(ARRAY[0, 10080]) AS week (starts),
           LATERAL (SELECT week.starts + ((slot ->> 'weekday')::integer - 1) * 1440) AS day (midnight)
$$;

-- The offsets from UTC, in minutes, that a zone has in the next two years. Looked at every 14 days, so that a summer
-- time of a month (Morocco's pause in Ramadan) is not missed.
CREATE FUNCTION zone_offsets(zone text) RETURNS SETOF integer
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT DISTINCT (extract(epoch FROM (moment AT TIME ZONE zone) - (moment AT TIME ZONE 'UTC')) / 60)::integer
      FROM generate_series(now(), now() + interval '2 years', interval '14 days') AS moment
$$;

-- The half hours of the week from Monday 00:00 UTC that touch a working minute under one of the offsets.
CREATE FUNCTION working_half_hours(working int4multirange, zone text) RETURNS bit(336)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT string_agg(CASE WHEN works THEN '1' ELSE '0' END, '' ORDER BY half_hour)::bit(336)
      FROM (SELECT half_hour, bool_or(working && int4range(starts, starts + 30)) AS works
              FROM generate_series(0, 335) AS half_hour, zone_offsets(zone) AS minutes,
                   LATERAL (SELECT (half_hour * 30 + minutes + 10080) % 10080) AS local_time (starts)
             GROUP BY half_hour) AS week
$$;

-- A box in degrees that holds the circle. Past a pole or the 180th meridian it runs on beyond 90 or 180, and whoever
-- asks looks for the place there too.
CREATE FUNCTION box_round(latitude double precision, longitude double precision, radius_km double precision)
RETURNS box
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT box(point(longitude - wide, latitude - high), point(longitude + wide, latitude + high))
      FROM (SELECT degrees(radius_km / 6371.0) * 1.001 + 0.001) AS north_south (high),
           LATERAL (SELECT CASE WHEN abs(latitude) + high >= 89.9 THEN 180
                                ELSE high / cos(radians(abs(latitude) + high)) END) AS east_west (wide)
$$;

-- `definitions`: a list of bodies of PUT trainers, each with its `trainerId`. Full replacement: what a trainer taught
-- before and not now is gone, the load stays. For a catalogue, call it with some thousands at a time.
-- Trainers are locked in the order of their ids, before their offers, as a booking does.
CREATE FUNCTION upsert_trainers(definitions jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO trainers (trainer_id, name, active, gender, modes, time_zone, latitude, longitude, travel_radius_km,
                          weekly_capacity_minutes, weekly_slots, working, languages)
    SELECT given ->> 'trainerId', given ->> 'name', (given ->> 'active')::boolean, given ->> 'gender',
           ARRAY(SELECT jsonb_array_elements_text(given -> 'modes')), given ->> 'timeZone',
           (given #>> '{location,latitude}')::double precision, (given #>> '{location,longitude}')::double precision,
           (given ->> 'travelRadiusKm')::double precision, (given ->> 'weeklyCapacityMinutes')::integer,
           given -> 'weeklySlots', working_minutes(given -> 'weeklySlots'),
           ARRAY(SELECT jsonb_array_elements_text(given -> 'languages'))
      FROM jsonb_array_elements(definitions) AS given
     ORDER BY given ->> 'trainerId'
    ON CONFLICT (trainer_id) DO UPDATE
       SET name = excluded.name, active = excluded.active, gender = excluded.gender, modes = excluded.modes,
           time_zone = excluded.time_zone, latitude = excluded.latitude, longitude = excluded.longitude,
           travel_radius_km = excluded.travel_radius_km, weekly_capacity_minutes = excluded.weekly_capacity_minutes,
           weekly_slots = excluded.weekly_slots, working = excluded.working, languages = excluded.languages,
           version = trainers.version + 1, updated_at = clock_timestamp();

    DELETE FROM trainer_time_off
     WHERE trainer_id IN (SELECT given ->> 'trainerId' FROM jsonb_array_elements(definitions) AS given);
    INSERT INTO trainer_time_off (trainer_id, starts_at, ends_at)
    SELECT given ->> 'trainerId', (off ->> 'startsAt')::timestamptz, (off ->> 'endsAt')::timestamptz
      FROM jsonb_array_elements(definitions) AS given, jsonb_array_elements(given -> 'timeOff') AS off;

    PERFORM replace_offers(definitions);
END
$$;

CREATE FUNCTION replace_offers(definitions jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM trainer_offers offer USING jsonb_array_elements(definitions) AS given
     WHERE offer.trainer_id = given ->> 'trainerId' AND NOT given -> 'courses' ? offer.course_id;

    INSERT INTO trainer_offers (course_id, trainer_id, active, gender, online, in_person, place, travel_radius_km,
                                reach, working_slots, breadth, weekly_capacity_minutes, load_minutes)
    WITH taught AS (
        SELECT trainer.*, given -> 'courses' AS courses, 'in_person' = ANY (trainer.modes) AS travels
          FROM jsonb_array_elements(definitions) AS given JOIN trainers trainer ON trainer_id = given ->> 'trainerId'
    ), weeks AS MATERIALIZED (
        -- Many trainers of a catalogue work the same hours: once for all of them. Not materialized, the planner would
        -- move the call out and make it for every offer.
        SELECT working, time_zone, working_half_hours(working, time_zone) AS half_hours
          FROM (SELECT DISTINCT working, time_zone FROM taught) AS different
    )
    SELECT course_id, trainer_id, active, gender, 'online' = ANY (modes), travels,
           CASE WHEN travels THEN point(longitude, latitude) END, CASE WHEN travels THEN travel_radius_km END,
           CASE WHEN travels THEN box_round(latitude, longitude, travel_radius_km * 1.5) END, half_hours,
           (least(jsonb_array_length(courses), 10) / 10.0 + bit_count(half_hours) / 336.0) / 2,
           weekly_capacity_minutes, load_minutes
      FROM taught JOIN weeks USING (working, time_zone), jsonb_array_elements_text(courses) AS course_id
     ORDER BY trainer_id, course_id
    ON CONFLICT (course_id, trainer_id) DO UPDATE
       SET active = excluded.active, gender = excluded.gender, online = excluded.online,
           in_person = excluded.in_person, place = excluded.place, travel_radius_km = excluded.travel_radius_km,
           reach = excluded.reach, working_slots = excluded.working_slots, breadth = excluded.breadth,
           weekly_capacity_minutes = excluded.weekly_capacity_minutes, load_minutes = excluded.load_minutes,
           freed_at = clock_timestamp();
END
$$;

CREATE FUNCTION upsert_trainer(trainer_id text, definition jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT upsert_trainers(jsonb_build_array(definition || jsonb_build_object('trainerId', trainer_id)))
$$;

GRANT EXECUTE ON FUNCTION upsert_trainer(text, jsonb) TO coursepay_gateway;

-- migrate: rollback

-- A trainer or a student who is busy on a few of the dates is not given up for them.
-- depends: 0008_candidates

-- migrate: apply

-- The dates of a wish without those on which the student has other sessions, when that is up to one in ten of the
-- wanted ones; null: more are, or the spare ones are not enough.
CREATE FUNCTION dates_past_students_own(wish tutoring_wish) RETURNS tstzrange[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    free tstzrange[];
BEGIN
    -- Also on the spare ones: they are for what a trainer lacks.
    IF NOT student_is_busy(wish.student_id, wish.dates, wish.without) THEN
        RETURN wish.dates;
    END IF;
    free := ARRAY(SELECT session FROM unnest(wish.dates) AS session
                   WHERE NOT student_is_busy(wish.student_id, ARRAY[session], wish.without) ORDER BY session);
    IF cardinality(free) < wish.sessions
       OR (SELECT count(*) FROM unnest(wish.dates[:wish.sessions]) AS wanted WHERE wanted <> ALL (free))
          > wish.sessions / 10 THEN
        RETURN NULL;
    END IF;
    RETURN free;
END
$$;

-- Which of these candidates may be free on the dates of the wish, in their order and with one look at all of them.
-- `verdict`: free (on all of the first dates), leave or slot (too many are lost), or unsure: a few sessions or days of
-- leave are in the way, and `bookable_dates` tells. Those with leave or slot are left out, but for the last candidate.
-- `without_leave`: how many up to this one have no leave in the way.
-- No table may be read as a whole for each candidate: a planner that saw it empty believes that to be best, and its
-- plan lasts as long as the connection.
CREATE FUNCTION who_may_be_free(wish tutoring_wish, ranked ranked_offer[])
RETURNS TABLE (number integer, verdict text, without_leave integer)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wanted tstzrange[] := wish.dates[:wish.sessions];
    spare integer := cardinality(wish.dates) - wish.sessions;
    may_be_lost integer := wish.sessions / 10;
    asked tstzmultirange := (SELECT range_agg(session) FROM unnest(wish.dates) AS session);
    held_dates tstzrange[] := ARRAY(SELECT held_range(lower(session), upper(session), wish.travel_minutes)
                                      FROM unnest(wanted) WITH ORDINALITY AS planned (session, place) ORDER BY place);
    held_then tstzmultirange := held_by(wanted, wish.travel_minutes);
BEGIN
    RETURN QUERY
    WITH looked_at AS MATERIALIZED (
        SELECT offer.place::integer AS place, offer.trainer_id,
               CASE WHEN away IS NOT NULL
                     AND (SELECT count(*) FROM unnest(wish.dates) AS session WHERE session && away) > spare THEN 'leave'
                    -- One session is in the way of one date at most, but two may be in the way of the same one.
                    WHEN cardinality(taken) > may_be_lost
                     AND (SELECT count(*) FROM unnest(wanted, held_dates) AS planned (session, held)
                           WHERE (away IS NULL OR NOT session && away)
                             AND EXISTS (SELECT FROM unnest(taken) AS busy WHERE busy && held)) > may_be_lost
                        THEN 'slot'
                    WHEN away IS NOT NULL OR cardinality(taken) > 0 THEN 'unsure' END AS known
          FROM unnest(ranked) WITH ORDINALITY
                   AS offer (trainer_id, load_quarter, cost, distance_m, continuity, breadth, tie_break, place),
               LATERAL (SELECT range_agg(tstzrange(off.starts_at, off.ends_at, '[)')) FROM trainer_time_off off
                         WHERE off.trainer_id = offer.trainer_id
                           AND tstzrange(off.starts_at, off.ends_at, '[)') && asked) AS leave (away),
               LATERAL (SELECT ARRAY(
                            SELECT busy.held FROM tutoring_sessions busy
                             WHERE hashtextextended(busy.trainer_id, 0) = hashtextextended(offer.trainer_id, 0)
                               AND busy.trainer_id = offer.trainer_id AND busy.status IN ('scheduled', 'completed')
                               AND busy.held && held_then AND busy.allocation_id IS DISTINCT FROM wish.without
                             LIMIT may_be_lost + 1) OFFSET 0) AS sessions (taken)
         WHERE offer.trainer_id IS DISTINCT FROM wish.barred
    ), weeks AS (
        -- Many trainers work the same hours: looked at once for all of them.
        SELECT places, works_at(working, time_zone, wanted) AS works
          FROM (SELECT working, time_zone, array_agg(place) AS places
                  FROM looked_at JOIN trainers USING (trainer_id) WHERE known IS NULL
                 GROUP BY working, time_zone) AS different
        OFFSET 0
    ), judged AS (
        SELECT place, known FROM looked_at WHERE known IS NOT NULL
        UNION ALL
        SELECT place, CASE WHEN works THEN 'free' ELSE 'slot' END FROM weeks, unnest(places) AS place
    ), counted AS (
        SELECT place, known, count(*) FILTER (WHERE known <> 'leave') OVER (ORDER BY place) AS left_then,
               max(place) OVER () AS last_place
          FROM judged
    )
    SELECT place, known, left_then::integer FROM counted
     WHERE known IN ('free', 'unsure') OR place = last_place
     ORDER BY place;
END
$$;

-- The dates for a trainer who is busy on up to one in ten of them. Each of those is held on the next free date of the
-- pattern instead; when the spare dates are not enough, up to an hour beside its time, if the student allows that.
-- `free`: the dates of the wish without the trainer's leave. Null: too many are taken, or there is no other time.
CREATE FUNCTION dates_past_conflicts(
    wish tutoring_wish, trainer text, working int4multirange, zone text, free tstzrange[]
) RETURNS tstzrange[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked tstzmultirange := held_by(free, wish.travel_minutes + 60);
    taken tstzmultirange := (SELECT COALESCE(range_agg(held), '{}') FROM tutoring_sessions busy
                              WHERE hashtextextended(busy.trainer_id, 0) = hashtextextended(trainer, 0)
                                AND busy.trainer_id = trainer AND busy.status IN ('scheduled', 'completed')
                                AND busy.held && asked AND busy.allocation_id IS DISTINCT FROM wish.without);
    left_over tstzrange[] := ARRAY(
        SELECT session FROM unnest(free) AS session
         WHERE NOT taken && held_range(lower(session), upper(session), wish.travel_minutes) ORDER BY session);
    lost tstzrange[] := ARRAY(SELECT session FROM unnest(free[:wish.sessions]) AS session
                               WHERE session <> ALL (left_over) ORDER BY session);
    session tstzrange;
    beside tstzrange;
BEGIN
    IF cardinality(lost) > wish.sessions / 10 THEN
        RETURN NULL;
    END IF;
    FOREACH session IN ARRAY lost LOOP
        EXIT WHEN cardinality(left_over) >= wish.sessions;
        beside := free_beside(session, wish, trainer, working, zone, taken);
        left_over := CASE WHEN beside IS NULL THEN left_over ELSE left_over || beside END;
    END LOOP;
    IF cardinality(left_over) < wish.sessions THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT kept FROM unnest(left_over) AS kept ORDER BY kept LIMIT wish.sessions);
END
$$;

-- The nearest time for a session on its day at which trainer and student are free, earlier before later; null: none.
CREATE FUNCTION free_beside(
    session tstzrange, wish tutoring_wish, trainer text, working int4multirange, zone text, taken tstzmultirange
) RETURNS tstzrange
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT moved
          FROM unnest('{-30,30,-60,60}'::integer[]) WITH ORDINALITY AS step (minutes, number),
               LATERAL (SELECT tstzrange(lower(session) + make_interval(mins => minutes),
                                         upper(session) + make_interval(mins => minutes), '[)')) AS beside (moved)
         WHERE abs(minutes) <= wish.may_move_minutes
           AND NOT taken && held_range(lower(moved), upper(moved), wish.travel_minutes)
           AND lower(moved) > clock_timestamp()
           AND works_at(working, zone, ARRAY[moved])
           AND NOT student_is_busy(wish.student_id, ARRAY[moved], wish.without)
           AND NOT EXISTS (SELECT FROM trainer_time_off off
                            WHERE off.trainer_id = trainer AND tstzrange(off.starts_at, off.ends_at, '[)') && moved)
         ORDER BY number LIMIT 1);
END
$$;

-- migrate: rollback

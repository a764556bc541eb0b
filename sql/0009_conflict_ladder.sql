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
    IF NOT student_is_busy(wish.student_id, wish.dates[:wish.sessions], wish.without) THEN
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

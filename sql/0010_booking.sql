-- Booking a trainer for a purchase: one implementation for the worker and for every person.
-- depends: 0009_conflict_ladder

-- migrate: apply

-- `failed`: the filter that emptied the set; null: `trainer_id` was found. `left_after`: how many were left after
-- specialty, gender, slot, capacity, radius, leave and the exact dates, among the offers looked at. `cut_short`: when
-- the search had cost all that it may (`work_left`, in offers read; `doubts_left`, in candidates looked at one by one),
-- there were more.
CREATE TYPE trainer_search AS (
    trainer_id text,
    failed text,
    left_after integer[],
    top ranked_offer[],
    relaxation text,
    dates tstzrange[],
    work_left integer,
    doubts_left integer,
    cut_short boolean
);

-- What a decision was, for whoever asked for it. `result`: ok, pending, duplicate, inactive, missing, decided, refused
-- or conflict. `reason` is the allocation's; `filter` what a pending or a refusal names.
CREATE TYPE assignment_decision AS (
    result text,
    allocation_id uuid,
    purchase_id uuid,
    order_id text,
    student_id text,
    course_id text,
    status text,
    trainer_id text,
    reason jsonb,
    filter text,
    session_count integer,
    first_session_at timestamptz,
    revision integer,
    decided_by text,
    conflicts jsonb
);

CREATE FUNCTION lock_student(student_id text) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('student ' || student_id, 0))
$$;

-- Locks are taken in this order everywhere: purchase, student (advisory), trainer, offers, sessions. At most one
-- trainer at a time: a candidate who cannot be booked is let go of. Whoever needs a second one (a move, a departure,
-- a make-up of another trainer's session, the sweep, a catalogue) calls this before the first: so only one transaction
-- holds a trainer while it waits for another, and no two wait for each other.
CREATE FUNCTION lock_several_trainers() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('several trainers', 0))
$$;

-- Why this trainer, or why nobody: kept with the allocation. `cutShort`: not all the offers were looked at.
CREATE FUNCTION explanation(found trainer_search, smallest text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN jsonb_build_object(
        'rules', 1, 'at', clock_timestamp(), 'filter', found.failed, 'relaxation', smallest,
        'funnel', (SELECT jsonb_object_agg(name, remaining)
                     FROM unnest('{specialty,gender,slot,capacity,radius,leave,dates}'::text[], found.left_after)
                          AS step (name, remaining)),
        'top', to_jsonb(found.top))
        || CASE WHEN found.cut_short THEN '{"cutShort": true}' ELSE '{}' END::jsonb;
END
$$;

-- `moved`: how many sessions are not on the first dates of the pattern, for leave or for other sessions.
CREATE FUNCTION choice(wish tutoring_wish, candidate ranked_offer, chosen tstzrange[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('chosen', to_jsonb(candidate),
                              'movedMinutes', (wish).moved_minutes, 'movedDays', (wish).moved_days,
                              'movedSessions', (SELECT count(*) FROM unnest(chosen) AS session
                                                 WHERE session <> ALL ((wish).dates[:(wish).sessions])))
$$;

-- Null: booked. Else why not: somebody else was faster, or the trainer was replaced meanwhile. Then the trainer is not
-- locked any more: an UPDATE that waited keeps the row that it found changed, so that it has to be undone.
CREATE FUNCTION book_trainer(
    wish tutoring_wish, trainer text, seen_version integer, chosen tstzrange[], allocation uuid, decider text, why jsonb
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    violated text;
BEGIN
    -- The lock on the trainer, the capacity check and the fairness of the next choice in one.
    UPDATE trainers SET load_minutes = load_minutes + wish.weekly_minutes
     WHERE trainer_id = trainer AND active AND version = seen_version
       AND load_minutes + wish.weekly_minutes <= weekly_capacity_minutes;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
    END IF;
    UPDATE trainer_offers SET load_minutes = load_minutes + wish.weekly_minutes WHERE trainer_id = trainer;
    INSERT INTO trainer_allocations AS live (id, purchase_id, student_id, course_id, trainer_id, status, reason,
                                             decided_by, weekly_minutes, session_count, first_session_at)
    VALUES (allocation, wish.purchase_id, wish.student_id, wish.course_id, trainer, 'approved', why, decider,
            wish.weekly_minutes, wish.sessions, lower(chosen[1]))
    ON CONFLICT (id) DO UPDATE
       SET trainer_id = excluded.trainer_id, status = 'approved', reason = excluded.reason,
           decided_by = excluded.decided_by, weekly_minutes = excluded.weekly_minutes, revision = live.revision + 1,
           session_count = excluded.session_count, first_session_at = excluded.first_session_at,
           decided_at = clock_timestamp(), tried_at = clock_timestamp();
    INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at,
                                   travel_minutes)
    SELECT allocation, number, trainer, wish.student_id, wish.course_id, lower(session), upper(session),
           wish.travel_minutes
      FROM unnest(chosen) WITH ORDINALITY AS planned (session, number)
     ORDER BY number;
    RETURN NULL;
EXCEPTION
    WHEN triggered_action_exception THEN
        RETURN 'capacity';
    WHEN exclusion_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        RETURN CASE violated WHEN 'student_is_free' THEN 'student-clash' ELSE 'slot' END;
END
$$;

-- migrate: rollback

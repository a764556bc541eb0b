-- The decisions about an allocation that others ask for: assign, approve, allocate.
-- depends: 0011_search

-- migrate: apply

-- `refusal`: the filter that a refusal names, in place of the allocation's own.
CREATE FUNCTION decision_about(
    result text, bought student_course_purchases, live trainer_allocations, refusal text DEFAULT NULL,
    conflicts jsonb DEFAULT NULL
) RETURNS assignment_decision
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- An allocation from before coursepay may not know its first session.
    RETURN (result, live.id, bought.id, bought.order_id, bought.student_id, bought.course_id, live.status,
            live.trainer_id, live.reason, COALESCE(refusal, live.reason ->> 'filter'), live.session_count,
            COALESCE(live.first_session_at, live.decided_at), live.revision, live.decided_by,
            COALESCE(conflicts, '[]'))::assignment_decision;
END
$$;

-- The allocation of a purchase that is not cancelled; all null: there is none.
CREATE FUNCTION live_allocation(purchase uuid) RETURNS trainer_allocations
LANGUAGE plpgsql STABLE AS $$
DECLARE
    live trainer_allocations;
BEGIN
    SELECT * INTO live FROM trainer_allocations WHERE purchase_id = purchase AND status <> 'cancelled';
    RETURN live;
END
$$;

-- How many sessions a purchase still lacks.
CREATE FUNCTION sessions_missing(bought student_course_purchases) RETURNS integer
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN bought.sessions_total - (
        SELECT count(*)
          FROM trainer_allocations allocation JOIN tutoring_sessions session ON session.allocation_id = allocation.id
         WHERE allocation.purchase_id = bought.id AND session.status <> 'cancelled');
END
$$;

-- The sessions that are in the way of these dates, the trainer's (with the way there and back) and the student's.
CREATE FUNCTION sessions_in_the_way(trainer text, student text, dates tstzrange[], way_minutes integer)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('sessionId', id, 'trainerId', trainer_id, 'studentId', student_id,
                                                 'startsAt', starts_at, 'endsAt', ends_at)
                              ORDER BY starts_at, id), '[]')
      FROM (SELECT * FROM tutoring_sessions
             WHERE hashtextextended(trainer_id, 0) = hashtextextended(trainer, 0) AND trainer_id = trainer
               AND status IN ('scheduled', 'completed') AND held && held_by(dates, way_minutes)
            UNION
            SELECT * FROM tutoring_sessions
             WHERE hashtextextended(student_id, 0) = hashtextextended(student, 0) AND student_id = student
               AND status IN ('scheduled', 'completed')
               AND tstzrange(starts_at, ends_at, '[)') && held_by(dates, 0)) AS busy
$$;

-- A pending that nothing is lacking for any more is over; any other is left as it is.
CREATE FUNCTION end_pending(live trainer_allocations, decider text) RETURNS trainer_allocations
LANGUAGE plpgsql AS $$
BEGIN
    IF live.status = 'pending' THEN
        UPDATE trainer_allocations SET status = 'cancelled', decided_by = decider, decided_at = clock_timestamp()
         WHERE id = live.id
        RETURNING * INTO live;
    END IF;
    RETURN live;
END
$$;

-- The wish of a purchase, without all that may be given up when the student allows anything to be.
CREATE FUNCTION least_asked(bought student_course_purchases, wanted integer) RETURNS tutoring_wish
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wish tutoring_wish;
BEGIN
    SELECT * INTO wish FROM wishes_of(bought, NULL, wanted) LIMIT 1;
    IF relaxations_of(bought) <> '{}' THEN
        wish.half_hours := 0::bit(336);
        wish.online := NULL;
        wish.gender := NULL;
    END IF;
    RETURN wish;
END
$$;

-- Under the locks of purchase and student, for an active purchase without an approved allocation.
-- A named trainer who cannot is refused and nothing is written; when nobody can, the allocation is pending.
-- `inactive`: no session is lacking; a pending ends. A look that found no more than the one before is not repeated
-- within ten seconds, however many trainers get time back.
CREATE FUNCTION decide(
    bought student_course_purchases, live trainer_allocations, only_trainer text, decider text
) RETURNS assignment_decision
LANGUAGE plpgsql AS $$
DECLARE
    allocation uuid := COALESCE(live.id, gen_random_uuid());
    wanted integer := sessions_missing(bought);
    found trainer_search;
    hint record;
    conflicts jsonb;
    why jsonb;
    wish tutoring_wish;
BEGIN
    IF wanted <= 0 THEN
        RETURN decision_about('inactive', bought, end_pending(live, decider));
    END IF;
    found := seek_as_allowed(bought, wanted, only_trainer, allocation, decider);
    IF found.failed IS NULL THEN
        RETURN decision_about('ok', bought, live_allocation(bought.id));
    END IF;
    IF only_trainer IS NOT NULL THEN
        conflicts := CASE WHEN found.failed = 'student-clash' OR found.left_after[5] > 0
                          THEN sessions_in_the_way(only_trainer, bought.student_id, found.dates,
                                                   (least_asked(bought, wanted)).travel_minutes)
                          ELSE '[]' END;
        RETURN decision_about(CASE conflicts WHEN '[]' THEN 'refused' ELSE 'conflict' END, bought, live, found.failed,
                              conflicts);
    END IF;
    hint := smallest_relaxation(bought, wanted, found);
    found.cut_short := found.cut_short OR hint.cut_short;
    why := explanation(found, hint.smallest) || what_would_help(bought, wanted);
    wish := least_asked(bought, wanted);
    IF live.reason ->> 'filter' = found.failed THEN
        UPDATE trainer_allocations
           SET reason = why, tried_at = clock_timestamp(), aside_until = clock_timestamp() + interval '10 seconds',
               wanted_minutes = wish.weekly_minutes, wanted_half_hours = wish.half_hours,
               wanted_online = wish.online, wanted_gender = wish.gender
         WHERE id = allocation;
        RETURN decision_about('duplicate', bought, live_allocation(bought.id));
    END IF;
    INSERT INTO trainer_allocations AS earlier (id, purchase_id, student_id, course_id, status, reason, decided_by,
                                                wanted_minutes, wanted_half_hours, wanted_online, wanted_gender)
    VALUES (allocation, bought.id, bought.student_id, bought.course_id, 'pending', why, decider,
            wish.weekly_minutes, wish.half_hours, wish.online, wish.gender)
    ON CONFLICT (id) DO UPDATE
       SET reason = why, decided_by = decider, revision = earlier.revision + 1, decided_at = clock_timestamp(),
           tried_at = clock_timestamp(), wanted_minutes = wish.weekly_minutes, wanted_half_hours = wish.half_hours,
           wanted_online = wish.online, wanted_gender = wish.gender;
    RETURN decision_about('pending', bought, live_allocation(bought.id));
END
$$;

-- The automatic decision. Calling it on a pending one tries again; on an approved one it changes nothing.
CREATE FUNCTION assign_trainer(purchase_id uuid, decided_by text) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases;
    live trainer_allocations;
    missing assignment_decision;
BEGIN
    SELECT * INTO bought FROM student_course_purchases WHERE id = assign_trainer.purchase_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        missing.result := 'missing';
        RETURN missing;
    END IF;
    PERFORM lock_student(bought.student_id);
    live := live_allocation(bought.id);
    IF bought.status <> 'active' THEN
        RETURN decision_about('inactive', bought, live);
    ELSIF live.status = 'approved' THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    RETURN decide(bought, live, NULL, decided_by);
END
$$;

-- A person's decision about a purchase for which none is approved yet; compare-and-set under the purchase's lock.
-- `trainer_id` null: whoever the machine finds now.
CREATE FUNCTION allocate_trainer(purchase_id uuid, trainer_id text, decided_by text) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases;
    live trainer_allocations;
    missing assignment_decision;
    decision assignment_decision;
BEGIN
    SELECT * INTO bought FROM student_course_purchases WHERE id = allocate_trainer.purchase_id FOR NO KEY UPDATE;
    IF NOT FOUND OR (allocate_trainer.trainer_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM trainers known WHERE known.trainer_id = allocate_trainer.trainer_id)) THEN
        missing.result := 'missing';
        RETURN missing;
    END IF;
    PERFORM lock_student(bought.student_id);
    live := live_allocation(bought.id);
    IF live.status = 'approved' THEN
        RETURN decision_about('decided', bought, live);
    ELSIF bought.status <> 'active' THEN
        RETURN decision_about('refused', bought, live, bought.status);
    END IF;
    decision := decide(bought, live, allocate_trainer.trainer_id, decided_by);
    IF allocate_trainer.trainer_id IS NULL AND decision.result IN ('pending', 'duplicate') THEN
        decision.result := 'refused';
    END IF;
    RETURN decision;
END
$$;

-- No row: there is no such allocation.
CREATE FUNCTION approve_allocation(allocation_id uuid, trainer_id text, decided_by text)
RETURNS SETOF assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked trainer_allocations;
    bought student_course_purchases;
BEGIN
    SELECT * INTO asked FROM trainer_allocations WHERE id = approve_allocation.allocation_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO bought FROM student_course_purchases WHERE id = asked.purchase_id FOR NO KEY UPDATE;
    -- It may have been decided, or cancelled and followed by another, before the lock was ours.
    SELECT * INTO asked FROM trainer_allocations WHERE id = approve_allocation.allocation_id;
    IF asked.status <> 'pending' THEN
        RETURN NEXT decision_about('decided', bought, asked);
    ELSE
        RETURN NEXT allocate_trainer(bought.id, trainer_id, decided_by);
    END IF;
END
$$;

GRANT EXECUTE ON FUNCTION assign_trainer(uuid, text) TO coursepay_gateway, coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION allocate_trainer(uuid, text, text), approve_allocation(uuid, text, text)
    TO coursepay_gateway;
GRANT EXECUTE ON FUNCTION sessions_missing(student_course_purchases) TO coursepay_operations;

-- migrate: rollback

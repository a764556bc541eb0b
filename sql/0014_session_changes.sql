-- What happens to booked sessions afterwards: completed, cancelled, added; and what that does to a trainer's load.
-- depends: 0013_near_misses

-- migrate: apply

-- The purchase that a session belongs to, locked, and its student. All null: no such session.
CREATE FUNCTION lock_purchase_of_session(session_id uuid) RETURNS student_course_purchases
LANGUAGE plpgsql AS $$
DECLARE
    bought student_course_purchases;
BEGIN
    SELECT purchase.* INTO bought
      FROM tutoring_sessions session
           JOIN trainer_allocations allocation ON allocation.id = session.allocation_id
           JOIN student_course_purchases purchase ON purchase.id = allocation.purchase_id
     WHERE session.id = session_id
       FOR NO KEY UPDATE OF purchase;
    IF FOUND THEN
        PERFORM lock_student(bought.student_id);
    END IF;
    RETURN bought;
END
$$;

-- Changes the load of a trainer and of the offers, under the trainer's lock. Whoever gets time back, be it one hour,
-- is worth another look by those who wait.
CREATE FUNCTION change_load(trainer text, minutes integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE trainers SET load_minutes = load_minutes + minutes WHERE trainer_id = trainer;
    UPDATE trainer_offers
       SET load_minutes = load_minutes + minutes,
           freed_at = CASE WHEN minutes <= 0 THEN clock_timestamp() ELSE freed_at END
     WHERE trainer_id = trainer;
END
$$;

-- Whatever else the student waits for is worth another look; under the student's lock. What others have locked is given
-- up, or a try of it failed and it is due as it was: waiting for those could end in a circle.
CREATE FUNCTION free_student(student text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE trainer_allocations SET student_freed_at = clock_timestamp()
     WHERE id IN (SELECT id FROM trainer_allocations WHERE student_id = student AND status = 'pending'
                     FOR NO KEY UPDATE SKIP LOCKED);
END
$$;

-- An approved allocation is load until its last session is completed, cancelled or past; and again when one is added.
CREATE FUNCTION settle_load(allocation uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    counted trainer_allocations;
    is_load boolean;
BEGIN
    SELECT * INTO counted FROM trainer_allocations WHERE id = allocation;
    is_load := counted.status = 'approved'
        AND EXISTS (SELECT FROM tutoring_sessions
                     WHERE allocation_id = allocation AND status = 'scheduled' AND ends_at > clock_timestamp());
    IF counted.trainer_id IS NULL OR is_load = (counted.released_at IS NULL) THEN
        RETURN;
    END IF;
    PERFORM change_load(counted.trainer_id, CASE WHEN is_load THEN 1 ELSE -1 END * counted.weekly_minutes);
    UPDATE trainer_allocations SET released_at = CASE WHEN is_load THEN NULL ELSE clock_timestamp() END
     WHERE id = allocation;
END
$$;

-- Adds up to `wanted` sessions with the same trainer and in the same weekly slot, after the last one and after `after`,
-- on dates on which trainer and student are free. What does not fit before the expiry is a shortfall that the reason
-- shows.
CREATE FUNCTION append_sessions(
    bought student_course_purchases, live trainer_allocations, wanted integer, after timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wish tutoring_wish;
    last_start timestamptz := (SELECT max(starts_at) FROM tutoring_sessions
                                WHERE allocation_id = live.id AND status <> 'cancelled');
    number integer := (SELECT max(sequence_no) FROM tutoring_sessions WHERE allocation_id = live.id);
    added integer := 0;
    session tstzrange;
BEGIN
    PERFORM FROM trainers WHERE trainer_id = live.trainer_id FOR NO KEY UPDATE;
    SELECT * INTO wish FROM wishes_of(bought, live.reason ->> 'relaxation', 1) LIMIT 1;
    FOREACH session IN ARRAY session_dates(
        weekly_slot_of(bought), greatest(last_start, after, clock_timestamp()), bought.expiry_date, 400,
        COALESCE((live.reason ->> 'movedMinutes')::integer, 0), COALESCE((live.reason ->> 'movedDays')::integer, 0)
    ) LOOP
        EXIT WHEN added = wanted;
        wish.dates := ARRAY[session];
        CONTINUE WHEN (bookable_dates(wish, live.trainer_id)).failed IS NOT NULL
            OR student_is_busy(bought.student_id, wish.dates);
        added := added + 1;
        INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at,
                                       ends_at, travel_minutes)
        VALUES (live.id, number + added, live.trainer_id, bought.student_id, bought.course_id, lower(session),
                upper(session), wish.travel_minutes);
    END LOOP;
    UPDATE trainer_allocations
       SET reason = CASE WHEN added = wanted THEN reason - 'shortfall'
                         ELSE reason || jsonb_build_object('shortfall', wanted - added) END
     WHERE id = live.id AND (added < wanted OR reason ? 'shortfall');
    PERFORM settle_load(live.id);
END
$$;

-- Ends an approved allocation: sessions that have not begun are cancelled, the trainer is free of its load.
CREATE FUNCTION give_back(bought student_course_purchases, live trainer_allocations, decider text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_load(live.trainer_id, 0);
    UPDATE tutoring_sessions SET status = 'cancelled'
     WHERE allocation_id = live.id AND status = 'scheduled' AND starts_at > clock_timestamp();
    PERFORM free_student(bought.student_id);
    UPDATE trainer_allocations SET status = 'cancelled', decided_by = decider, decided_at = clock_timestamp()
     WHERE id = live.id;
    PERFORM settle_load(live.id);
END
$$;

-- Whether the trainer of an approved allocation can be given more of its sessions: not one who has left or teaches the
-- course, in that mode, no more, nor one who has filled the time that was given back when its last session was over.
-- Under the trainer's lock.
CREATE FUNCTION goes_on(bought student_course_purchases, live trainer_allocations) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    teacher trainers;
    wish tutoring_wish;
BEGIN
    SELECT * INTO teacher FROM trainers WHERE trainer_id = live.trainer_id;
    SELECT * INTO wish FROM wishes_of(bought, live.reason ->> 'relaxation', 1) LIMIT 1;
    -- Of an allocation from before coursepay the trainer may not be known here.
    RETURN teacher.trainer_id IS NULL
        OR ((live.released_at IS NULL OR teacher.load_minutes + live.weekly_minutes <= teacher.weekly_capacity_minutes)
            AND EXISTS (SELECT FROM trainer_offers offer
                         WHERE offer.trainer_id = live.trainer_id AND offer.course_id = bought.course_id
                           AND offer.active AND CASE WHEN wish.online THEN offer.online ELSE offer.in_person END));
END
$$;

-- Books what a purchase lacks, after `after`: with the trainer who has it, or, when that trainer cannot go on or there
-- is none, with whoever is found now. Null: nothing was decided, so that there is nothing to tell.
-- Under the locks of purchase and student, and lock_several_trainers: it may need a second one.
CREATE FUNCTION make_up(
    bought student_course_purchases, live trainer_allocations, after timestamptz, decider text
) RETURNS assignment_decision
LANGUAGE plpgsql AS $$
DECLARE
    lacking integer := sessions_missing(bought);
    decision assignment_decision;
BEGIN
    IF lacking <= 0 OR live.status = 'pending' THEN
        RETURN decision;
    END IF;
    IF live.status = 'approved' THEN
        PERFORM FROM trainers WHERE trainer_id = live.trainer_id FOR NO KEY UPDATE;
        IF goes_on(bought, live) THEN
            PERFORM append_sessions(bought, live, lacking, after);
            RETURN decision;
        END IF;
        PERFORM give_back(bought, live, decider);
    END IF;
    IF bought.status = 'active' THEN
        decision := decide(bought, NULL, NULL, decider);
    END IF;
    RETURN decision;
END
$$;

-- From its start on. `result`: ok, duplicate, too-early, cancelled or frozen.
CREATE FUNCTION complete_session(session_id uuid, actor text, OUT result text, OUT status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases := lock_purchase_of_session(session_id);
    session tutoring_sessions;
BEGIN
    SELECT * INTO session FROM tutoring_sessions WHERE id = session_id;
    status := session.status;
    result := CASE WHEN session.status = 'completed' THEN 'duplicate'
                   WHEN session.status = 'cancelled' THEN 'cancelled'
                   WHEN session.starts_at > clock_timestamp() THEN 'too-early'
                   WHEN bought.status = 'frozen' THEN 'frozen'
                   ELSE 'ok' END;
    IF result = 'ok' THEN
        UPDATE tutoring_sessions done SET status = 'completed', completed_at = clock_timestamp() WHERE id = session_id;
        status := 'completed';
        PERFORM settle_load(session.allocation_id);
    END IF;
END
$$;

-- While the purchase lacks a session, another one is added at the end: by the trainer who has it now, whoever lost one.
-- Has it none any more, one is looked for. `result`: ok, duplicate or completed. `decision`: what the caller tells in
-- the outbox; null: the allocation is as it was.
CREATE FUNCTION cancel_session(
    session_id uuid, actor text, OUT result text, OUT status text, OUT decision assignment_decision
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases := lock_purchase_of_session(session_id);
    session tutoring_sessions;
BEGIN
    SELECT * INTO session FROM tutoring_sessions WHERE id = session_id;
    status := session.status;
    result := CASE session.status WHEN 'cancelled' THEN 'duplicate' WHEN 'completed' THEN 'completed' ELSE 'ok' END;
    IF result <> 'ok' THEN
        RETURN;
    END IF;
    status := 'cancelled';
    -- The make-up may be another trainer's.
    PERFORM lock_several_trainers();
    PERFORM FROM trainers WHERE trainer_id = session.trainer_id FOR NO KEY UPDATE;
    UPDATE tutoring_sessions freed SET status = 'cancelled' WHERE id = session_id;
    PERFORM change_load(session.trainer_id, 0);
    PERFORM free_student(bought.student_id);
    decision := make_up(bought, live_allocation(bought.id), session.starts_at, actor);
    PERFORM settle_load(session.allocation_id);
END
$$;

GRANT EXECUTE ON FUNCTION complete_session(uuid, text), cancel_session(uuid, text) TO coursepay_gateway;

-- migrate: rollback

-- A trainer who has left gets no more sessions; a cancellation tells what it decided; every failure is set aside.
-- depends: 0026_audited_states

-- migrate: apply

-- Books what a purchase lacks, after `after`: with the trainer who has it, or, when that trainer has left or there is
-- none, with whoever is found now. Null: nothing was decided, so that there is nothing to tell.
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
        IF NOT EXISTS (SELECT FROM trainers WHERE trainer_id = live.trainer_id AND NOT active) THEN
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

-- Makes sessions and allocation what the purchase is now, whatever the event said; doing it twice changes nothing.
-- `result`: ok, pending, duplicate (nothing to do), missing.
-- Sessions that were held, or have begun, are never taken back: the total is raised to them, of a revoked purchase too.
CREATE OR REPLACE FUNCTION adjust_allocation(purchase_id uuid) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases;
    live trainer_allocations;
    decision assignment_decision;
    lacking integer;
BEGIN
    SELECT * INTO bought FROM student_course_purchases WHERE id = adjust_allocation.purchase_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        decision.result := 'missing';
        RETURN decision;
    END IF;
    PERFORM lock_student(bought.student_id);
    live := live_allocation(bought.id);
    IF bought.status IN ('active', 'revoked') THEN
        bought := raise_to_used(bought);
    END IF;
    IF bought.status = 'revoked' THEN
        RETURN revoke_allocation(bought, live);
    ELSIF bought.status <> 'active' THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    lacking := sessions_missing(bought);
    IF lacking > 0 AND live.status = 'approved' THEN
        PERFORM lock_several_trainers();
        decision := make_up(bought, live, clock_timestamp(), 'auto');
        IF decision.result IS NOT NULL THEN
            RETURN decision;
        END IF;
    ELSIF lacking > 0 THEN
        RETURN decide(bought, live, NULL, 'auto');
    END IF;
    IF lacking < 0 THEN
        PERFORM cancel_last_sessions(bought, -lacking);
    END IF;
    IF lacking <= 0 AND live.status = 'pending' THEN
        RETURN decision_about('ok', bought, end_pending(live, 'auto'));
    END IF;
    RETURN decision_about(CASE lacking WHEN 0 THEN 'duplicate' ELSE 'ok' END, bought, live_allocation(bought.id));
END
$$;

DROP FUNCTION cancel_session(uuid, text);

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
    decision := make_up(bought, live_allocation(bought.id), session.starts_at, actor);
    PERFORM settle_load(session.allocation_id);
END
$$;

-- Whatever the item said before: what can be done now of a job leaves out what failed within the last minute, so that a
-- failure which is not written down would be tried again at once, and for ever.
CREATE OR REPLACE FUNCTION set_departure_aside(departure_id uuid, purchase_id uuid, error text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO trainer_departure_items (departure_id, purchase_id, result, error)
    VALUES (departure_id, purchase_id, 'failed', left(error, 500))
    ON CONFLICT ON CONSTRAINT trainer_departure_items_pkey DO UPDATE
       SET result = 'failed', trainer_id = NULL, error = excluded.error, done_at = clock_timestamp()
$$;

GRANT EXECUTE ON FUNCTION cancel_session(uuid, text) TO coursepay_gateway;

-- migrate: rollback

-- A shortfall ends when its sessions are not owed any more.
-- depends: 0033_who_waits

-- migrate: apply

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
    IF lacking <= 0 THEN
        UPDATE trainer_allocations SET reason = reason - 'shortfall' WHERE id = live.id AND reason ? 'shortfall';
    END IF;
    IF lacking <= 0 AND live.status = 'pending' THEN
        RETURN decision_about('ok', bought, end_pending(live, 'auto'));
    END IF;
    RETURN decision_about(CASE lacking WHEN 0 THEN 'duplicate' ELSE 'ok' END, bought, live_allocation(bought.id));
END
$$;

-- migrate: rollback

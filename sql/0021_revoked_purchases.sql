-- A revoked purchase holds the sessions that were used and no more, whether a refund or a lost dispute revoked it.
-- depends: 0020_load_recount

-- migrate: apply

-- Makes sessions and allocation what the purchase is now, whatever the event said; doing it twice changes nothing.
-- `result`: ok, pending, duplicate (nothing to do), missing.
-- Sessions that were held, or have begun, are never taken back: the total is raised to them, of a revoked purchase too.
CREATE OR REPLACE FUNCTION adjust_allocation(purchase_id uuid) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases;
    live trainer_allocations;
    missing assignment_decision;
    lacking integer;
BEGIN
    SELECT * INTO bought FROM student_course_purchases WHERE id = adjust_allocation.purchase_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        missing.result := 'missing';
        RETURN missing;
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
    IF lacking < 0 THEN
        PERFORM cancel_last_sessions(bought, -lacking);
    ELSIF lacking > 0 AND live.status = 'approved' THEN
        PERFORM append_sessions(bought, live, lacking, clock_timestamp());
    ELSIF lacking > 0 THEN
        RETURN decide(bought, live, NULL, 'auto');
    END IF;
    RETURN decision_about(CASE lacking WHEN 0 THEN 'duplicate' ELSE 'ok' END, bought, live_allocation(bought.id));
END
$$;

-- migrate: rollback

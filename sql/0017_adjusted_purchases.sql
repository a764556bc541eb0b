-- An allocation follows its purchase: reduced, frozen, revoked, active again, expired; and who waits is tried again.
-- depends: 0016_rescheduling

-- migrate: apply

-- Cancels up to `number` of the sessions that have not begun, the last ones first.
CREATE FUNCTION cancel_last_sessions(bought student_course_purchases, number integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    freed record;
BEGIN
    FOR freed IN
        SELECT allocation.id, allocation.trainer_id, array_agg(last.id) AS sessions
          FROM (SELECT session.id, session.allocation_id
                  FROM tutoring_sessions session JOIN trainer_allocations mine ON mine.id = session.allocation_id
                 WHERE mine.purchase_id = bought.id AND session.status = 'scheduled'
                   AND session.starts_at > clock_timestamp()
                 ORDER BY session.starts_at DESC, session.id
                 LIMIT number) AS last
               JOIN trainer_allocations allocation ON allocation.id = last.allocation_id
         GROUP BY allocation.id, allocation.trainer_id
         ORDER BY allocation.trainer_id
    LOOP
        PERFORM change_load(freed.trainer_id, 0);
        UPDATE tutoring_sessions SET status = 'cancelled' WHERE id = ANY (freed.sessions);
        PERFORM settle_load(freed.id);
    END LOOP;
    PERFORM free_student(bought.student_id);
END
$$;

-- Makes sessions and allocation what the purchase is now, whatever the event said; doing it twice changes nothing.
-- `result`: ok, pending, duplicate (nothing to do), missing.
-- Sessions that were held, or have begun, are never taken back: the total is raised to them, whatever the purchase is.
CREATE FUNCTION adjust_allocation(purchase_id uuid) RETURNS assignment_decision
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
    bought := raise_to_used(bought);
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

CREATE FUNCTION revoke_allocation(bought student_course_purchases, live trainer_allocations)
RETURNS assignment_decision
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cancel_last_sessions(bought, 1000);
    IF live.id IS NULL THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    UPDATE trainer_allocations SET status = 'cancelled', decided_at = clock_timestamp() WHERE id = live.id
    RETURNING * INTO live;
    -- Also when a session is going on.
    PERFORM settle_load(live.id);
    RETURN decision_about('ok', bought, live);
END
$$;

-- The sessions that were held or have begun. Under the lock of the purchase.
CREATE FUNCTION sessions_used(purchase uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN (SELECT count(*)
              FROM tutoring_sessions session JOIN trainer_allocations mine ON mine.id = session.allocation_id
             WHERE mine.purchase_id = purchase AND session.status <> 'cancelled'
               AND (session.status = 'completed' OR session.starts_at <= clock_timestamp()));
END
$$;

-- The purchase worker has done so when it applied the change; more may have begun since.
CREATE FUNCTION raise_to_used(bought student_course_purchases) RETURNS student_course_purchases
LANGUAGE plpgsql AS $$
DECLARE
    used integer := sessions_used(bought.id);
BEGIN
    IF used > bought.sessions_total THEN
        UPDATE student_course_purchases SET sessions_total = used, updated_at = clock_timestamp() WHERE id = bought.id
        RETURNING * INTO bought;
    END IF;
    RETURN bought;
END
$$;

GRANT EXECUTE ON FUNCTION adjust_allocation(uuid) TO coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION sessions_used(uuid) TO coursepay_purchase_worker;

-- migrate: rollback

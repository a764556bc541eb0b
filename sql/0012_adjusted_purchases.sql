-- An allocation follows its purchase: reduced, frozen, revoked, active again, expired; and who waits is tried again.
-- depends: 0011_session_changes

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
END
$$;

-- Makes sessions and allocation what the purchase is now, whatever the event said; doing it twice changes nothing.
-- `result`: ok, pending, duplicate (nothing to do), missing.
-- Sessions that were held, or have begun, are never taken back: the total is raised to them.
CREATE FUNCTION adjust_allocation(purchase_id uuid) RETURNS assignment_decision
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
    IF bought.status = 'revoked' THEN
        RETURN revoke_allocation(bought, live);
    ELSIF bought.status <> 'active' THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    bought := raise_to_used(bought);
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

CREATE FUNCTION raise_to_used(bought student_course_purchases) RETURNS student_course_purchases
LANGUAGE plpgsql AS $$
DECLARE
    used integer := (SELECT count(*)
                       FROM tutoring_sessions session JOIN trainer_allocations mine ON mine.id = session.allocation_id
                      WHERE mine.purchase_id = bought.id AND session.status <> 'cancelled'
                        AND (session.status = 'completed' OR session.starts_at <= clock_timestamp()));
BEGIN
    IF used > bought.sessions_total THEN
        UPDATE student_course_purchases SET sessions_total = used, updated_at = clock_timestamp() WHERE id = bought.id
        RETURNING * INTO bought;
    END IF;
    RETURN bought;
END
$$;

-- The sweep for what only time changes: allocations whose last session is past stop being load, purchases expire and
-- those of them that still wait are given up. Whatever is locked is left for the next time. Returns how many changed.
CREATE FUNCTION sweep_allocations(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    over record;
    changed integer := 0;
BEGIN
    FOR over IN
        SELECT allocation.id
          FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
         WHERE allocation.status = 'approved' AND allocation.released_at IS NULL
           AND NOT EXISTS (SELECT FROM tutoring_sessions session
                            WHERE session.allocation_id = allocation.id AND session.status = 'scheduled'
                              AND session.ends_at > clock_timestamp())
         ORDER BY allocation.trainer_id
         LIMIT rows_max
           FOR NO KEY UPDATE OF bought SKIP LOCKED
    LOOP
        PERFORM settle_load(over.id);
        changed := changed + 1;
    END LOOP;
    FOR over IN
        -- now(): clock_timestamp() is volatile and could not be looked up in an index.
        SELECT id FROM student_course_purchases
         WHERE expiry_date < now() AND status IN ('active', 'frozen')
         LIMIT rows_max
           FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE student_course_purchases SET status = 'expired', updated_at = clock_timestamp() WHERE id = over.id;
        UPDATE trainer_allocations SET status = 'cancelled', decided_at = clock_timestamp()
         WHERE purchase_id = over.id AND status = 'pending';
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END
$$;

-- The purchases whose pending allocation deserves another try, the longest untried first: a trainer of the course came,
-- was replaced or got time back since the last look, or that look is an hour old (leave ends, dates move on).
-- The ten seconds are for a trainer whose transaction was open during the last look.
CREATE FUNCTION pendings_to_retry(rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT waiting.purchase_id
      FROM trainer_allocations waiting JOIN student_course_purchases bought ON bought.id = waiting.purchase_id
     WHERE waiting.status = 'pending' AND bought.status = 'active'
       AND (waiting.tried_at < clock_timestamp() - interval '1 hour'
            OR EXISTS (SELECT FROM trainer_offers offer
                        WHERE offer.course_id = waiting.course_id AND offer.active
                          AND offer.freed_at > waiting.tried_at - interval '10 seconds'))
     ORDER BY waiting.tried_at
     LIMIT rows_max
$$;

GRANT EXECUTE ON FUNCTION adjust_allocation(uuid), pendings_to_retry(integer) TO coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION sweep_allocations(integer) TO coursepay_assignment_worker, coursepay_operations;

-- migrate: rollback

-- What only time changes and what is tried again: loads end, purchases expire, pendings are looked at anew.
-- depends: 0017_adjusted_purchases

-- migrate: apply

-- Allocations whose last session is past stop being load. They are chosen first, without any lock; when somebody else
-- holds several trainers just now, or one of the purchases, it is for the next time. Returns how many changed.
CREATE FUNCTION sweep_allocations(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    chosen uuid[] := ARRAY(
        SELECT allocation.id FROM trainer_allocations allocation
         WHERE allocation.status = 'approved' AND allocation.released_at IS NULL
           AND NOT EXISTS (SELECT FROM tutoring_sessions session
                            WHERE session.allocation_id = allocation.id AND session.status = 'scheduled'
                              AND session.ends_at > clock_timestamp())
         ORDER BY allocation.trainer_id
         LIMIT rows_max);
    over uuid;
    changed integer := 0;
BEGIN
    IF chosen = '{}' OR NOT pg_try_advisory_xact_lock(hashtextextended('several trainers', 0)) THEN
        RETURN 0;
    END IF;
    FOR over IN
        SELECT allocation.id
          FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
         WHERE allocation.id = ANY (chosen)
         ORDER BY allocation.trainer_id
           FOR NO KEY UPDATE OF bought SKIP LOCKED
    LOOP
        PERFORM settle_load(over);
        changed := changed + 1;
    END LOOP;
    RETURN changed;
END
$$;

-- Purchases whose time is over expire, and those of them that still wait are given up. Whatever is locked is left for
-- the next time. `missing`: the sessions that were paid and never had a date; they are in the audit log too.
CREATE FUNCTION expire_purchases(rows_max integer)
RETURNS TABLE (order_id text, student_id text, course_id text, missing integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    over student_course_purchases;
    live trainer_allocations;
BEGIN
    FOR over IN
        -- now(): clock_timestamp() is volatile and could not be looked up in an index. In its order, else the planner,
        -- to whom most purchases look over, would read the whole table to find a few.
        SELECT * FROM student_course_purchases bought
         WHERE bought.expiry_date < now() AND bought.status IN ('active', 'frozen')
         ORDER BY bought.expiry_date
         LIMIT rows_max
           FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        live := live_allocation(over.id);
        order_id := over.order_id;
        student_id := over.student_id;
        course_id := over.course_id;
        missing := greatest(sessions_missing(over), 0);
        UPDATE student_course_purchases bought SET status = 'expired', updated_at = clock_timestamp()
         WHERE bought.id = over.id;
        UPDATE trainer_allocations given_up SET status = 'cancelled', decided_at = clock_timestamp()
         WHERE given_up.purchase_id = over.id AND given_up.status = 'pending';
        IF missing > 0 THEN
            INSERT INTO audit_log (actor, action, target, before, after)
            VALUES ('auto', 'purchase.expired_unserved', over.order_id,
                    jsonb_build_object('status', over.status, 'allocation', live.status,
                                       'reason', live.reason ->> 'filter'),
                    jsonb_build_object('status', 'expired', 'sessionsTotal', over.sessions_total,
                                       'sessionsMissing', missing));
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- After a try that failed, of a pending or of a shortfall.
CREATE FUNCTION set_pending_aside(purchase_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE trainer_allocations waiting SET aside_until = clock_timestamp() + interval '1 minute'
     WHERE waiting.purchase_id = set_pending_aside.purchase_id AND status <> 'cancelled'
$$;

-- The purchases whose pending allocation deserves another try, the longest untried first: a trainer of the course who
-- may fit came, was replaced or got time back since the last look, or that look is an hour old (leave ends, dates move
-- on), or the student got time back. Whether a trainer fits is judged by what cannot be given up: capacity, and, unless
-- the student allows something to be, mode, gender and hours. The ten seconds are for a trainer whose transaction was
-- open during the last look; the student was locked by it.
CREATE FUNCTION pendings_to_retry(rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT waiting.purchase_id
      FROM trainer_allocations waiting JOIN student_course_purchases bought ON bought.id = waiting.purchase_id
     WHERE waiting.status = 'pending' AND bought.status = 'active'
       AND (waiting.aside_until IS NULL OR waiting.aside_until < clock_timestamp())
       AND (waiting.tried_at < clock_timestamp() - interval '1 hour'
            OR waiting.student_freed_at > waiting.tried_at
            OR EXISTS (SELECT FROM trainer_offers offer
                        WHERE offer.course_id = waiting.course_id AND offer.active
                          AND offer.freed_at > waiting.tried_at - interval '10 seconds'
                          AND (waiting.wanted_minutes IS NULL
                               OR (offer.load_minutes + waiting.wanted_minutes <= offer.weekly_capacity_minutes
                                   AND offer.working_slots & waiting.wanted_half_hours = waiting.wanted_half_hours
                                   AND CASE waiting.wanted_online WHEN true THEN offer.online
                                            WHEN false THEN offer.in_person ELSE true END
                                   AND (waiting.wanted_gender IS NULL OR offer.gender = waiting.wanted_gender)))))
     ORDER BY waiting.tried_at
     LIMIT rows_max
$$;

-- The purchases with sessions that found no date, when the last look for one is an hour old, the oldest look first.
CREATE FUNCTION shortfalls_to_retry(rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT short.purchase_id
      FROM trainer_allocations short JOIN student_course_purchases bought ON bought.id = short.purchase_id
     WHERE short.status = 'approved' AND short.reason ? 'shortfall' AND bought.status = 'active'
       AND short.tried_at < clock_timestamp() - interval '1 hour'
       AND (short.aside_until IS NULL OR short.aside_until < clock_timestamp())
     ORDER BY short.tried_at
     LIMIT rows_max
$$;

-- Books what a purchase lacks and can have now. `result` null: its trainer has it still, and there is nothing to tell.
CREATE FUNCTION make_up_shortfall(purchase_id uuid) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases;
    live trainer_allocations;
    decision assignment_decision;
BEGIN
    SELECT * INTO bought FROM student_course_purchases WHERE id = make_up_shortfall.purchase_id FOR NO KEY UPDATE;
    PERFORM lock_student(bought.student_id);
    PERFORM lock_several_trainers();
    live := live_allocation(bought.id);
    IF bought.status = 'active' AND live.status = 'approved' THEN
        UPDATE trainer_allocations SET tried_at = clock_timestamp() WHERE id = live.id;
        decision := make_up(bought, live, clock_timestamp(), 'auto');
    END IF;
    RETURN decision;
END
$$;

-- Purchases that no event tells of, as those that are imported, wait from now on, and are tried at once.
CREATE FUNCTION let_wait(purchase_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO trainer_allocations (purchase_id, student_id, course_id, status, reason, tried_at)
    SELECT bought.id, bought.student_id, bought.course_id, 'pending',
           jsonb_build_object('rules', 1, 'at', clock_timestamp()), now() - interval '61 minutes'
      FROM student_course_purchases bought
     WHERE bought.id = ANY (purchase_ids) AND bought.status = 'active'
    ON CONFLICT DO NOTHING
$$;

GRANT EXECUTE ON FUNCTION sweep_allocations(integer) TO coursepay_assignment_worker, coursepay_operations;
GRANT EXECUTE ON FUNCTION expire_purchases(integer) TO coursepay_operations;
GRANT EXECUTE ON FUNCTION set_pending_aside(uuid), pendings_to_retry(integer), shortfalls_to_retry(integer),
    make_up_shortfall(uuid) TO coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION let_wait(uuid[]) TO coursepay_purchase_worker;

-- migrate: rollback

-- A purchase that cannot be decided now holds up no other: it is set aside for a minute; a departure says so.
-- depends: 0024_nothing_lost_nothing_endless

-- migrate: apply

-- After a try that failed, which is not a look that found nobody: tried_at stays.
ALTER TABLE trainer_allocations ADD COLUMN aside_until timestamptz;

CREATE FUNCTION set_pending_aside(purchase_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE trainer_allocations waiting SET aside_until = clock_timestamp() + interval '1 minute'
     WHERE waiting.purchase_id = set_pending_aside.purchase_id AND status = 'pending'
$$;

-- The purchases whose pending allocation deserves another try, the longest untried first: a trainer of the course came,
-- was replaced or got time back since the last look, or that look is an hour old (leave ends, dates move on).
-- The ten seconds are for a trainer whose transaction was open during the last look.
CREATE OR REPLACE FUNCTION pendings_to_retry(rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT waiting.purchase_id
      FROM trainer_allocations waiting JOIN student_course_purchases bought ON bought.id = waiting.purchase_id
     WHERE waiting.status = 'pending' AND bought.status = 'active'
       AND (waiting.aside_until IS NULL OR waiting.aside_until < clock_timestamp())
       AND (waiting.tried_at < clock_timestamp() - interval '1 hour'
            OR EXISTS (SELECT FROM trainer_offers offer
                        WHERE offer.course_id = waiting.course_id AND offer.active
                          AND offer.freed_at > waiting.tried_at - interval '10 seconds'))
     ORDER BY waiting.tried_at
     LIMIT rows_max
$$;

-- failed: it could not be given to anybody yet, for `error`; it is tried again until the job is finished.
ALTER TABLE trainer_departure_items
    ADD COLUMN error text,
    DROP CONSTRAINT result_is_known,
    ADD CONSTRAINT result_is_known CHECK (result IN ('reassigned', 'pending', 'ended', 'failed')),
    ADD CONSTRAINT a_failure_has_its_error CHECK ((result = 'failed') = (error IS NOT NULL));

CREATE FUNCTION set_departure_aside(departure_id uuid, purchase_id uuid, error text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO trainer_departure_items AS earlier (departure_id, purchase_id, result, error)
    VALUES (departure_id, purchase_id, 'failed', left(error, 500))
    ON CONFLICT ON CONSTRAINT trainer_departure_items_pkey DO UPDATE
       SET error = excluded.error, done_at = clock_timestamp()
     WHERE earlier.result = 'failed'
$$;

-- What can be done now of a job: the purchases that its trainer, who has not come back, still has and that were not
-- set aside within the last minute.
CREATE FUNCTION departing(departure_id uuid, rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT taught
      FROM trainer_departures job JOIN trainers teacher ON teacher.trainer_id = job.trainer_id AND NOT teacher.active,
           LATERAL taught_by(job.trainer_id) AS taught
     WHERE job.id = departing.departure_id
       AND NOT EXISTS (SELECT FROM trainer_departure_items item
                        WHERE item.departure_id = job.id AND item.purchase_id = taught AND item.result = 'failed'
                          AND item.done_at > clock_timestamp() - interval '1 minute')
     LIMIT rows_max
$$;

DROP FUNCTION depart_next(uuid);

-- Gives a purchase of a job to somebody else, or makes it pending. `result`: ok, pending, inactive (it needs nobody) or
-- duplicate: it is not that trainer's any more, or the trainer is active again.
CREATE FUNCTION depart_next(departure_id uuid, purchase_id uuid) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    job trainer_departures;
    bought student_course_purchases;
    live trainer_allocations;
    decision assignment_decision;
BEGIN
    SELECT * INTO job FROM trainer_departures WHERE id = departure_id;
    SELECT * INTO bought FROM student_course_purchases WHERE id = depart_next.purchase_id FOR NO KEY UPDATE;
    PERFORM lock_student(bought.student_id);
    PERFORM lock_several_trainers();
    live := live_allocation(bought.id);
    IF live.status IS DISTINCT FROM 'approved' OR live.trainer_id <> job.trainer_id
       OR EXISTS (SELECT FROM trainers WHERE trainer_id = job.trainer_id AND active) THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    PERFORM give_back(bought, live, job.requested_by);
    IF bought.status <> 'active' THEN
        decision := decision_about('inactive', bought, NULL);
    ELSIF job.plan = 'pending' AND sessions_missing(bought) > 0 THEN
        decision := make_pending(bought, job.requested_by, job.trainer_id);
    ELSE
        decision := decide(bought, NULL, NULL, job.requested_by);
    END IF;
    INSERT INTO trainer_departure_items (departure_id, purchase_id, result, trainer_id)
    VALUES (departure_id, bought.id,
            CASE decision.result WHEN 'ok' THEN 'reassigned' WHEN 'pending' THEN 'pending' ELSE 'ended' END,
            decision.trainer_id)
    ON CONFLICT ON CONSTRAINT trainer_departure_items_pkey DO UPDATE
       SET result = excluded.result, trainer_id = excluded.trainer_id, error = NULL, done_at = clock_timestamp();
    RETURN decision;
END
$$;

-- A job is finished when its trainer has nothing to come any more, or is active again. What had failed and was then
-- changed by others is told as they left it.
CREATE FUNCTION finish_departure(departure_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    job trainer_departures;
    changed uuid;
    live trainer_allocations;
BEGIN
    SELECT * INTO job FROM trainer_departures WHERE id = departure_id FOR NO KEY UPDATE;
    FOR changed IN
        SELECT item.purchase_id FROM trainer_departure_items item
         WHERE item.departure_id = job.id AND item.result = 'failed'
           AND item.purchase_id NOT IN (SELECT taught_by(job.trainer_id))
    LOOP
        live := live_allocation(changed);
        UPDATE trainer_departure_items item
           SET result = CASE WHEN live.status = 'pending' THEN 'pending'
                             WHEN live.trainer_id <> job.trainer_id THEN 'reassigned' ELSE 'ended' END,
               trainer_id = NULLIF(live.trainer_id, job.trainer_id), error = NULL
         WHERE item.departure_id = job.id AND item.purchase_id = changed;
    END LOOP;
    UPDATE trainer_departures SET finished_at = clock_timestamp()
     WHERE id = job.id AND finished_at IS NULL
       AND (NOT EXISTS (SELECT taught_by(job.trainer_id))
            OR EXISTS (SELECT FROM trainers WHERE trainer_id = job.trainer_id AND active));
END
$$;

GRANT EXECUTE ON FUNCTION set_pending_aside(uuid), set_departure_aside(uuid, uuid, text), departing(uuid, integer),
    depart_next(uuid, uuid), finish_departure(uuid) TO coursepay_assignment_worker;

-- migrate: rollback

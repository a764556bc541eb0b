-- Whoever deactivates a trainer chooses what becomes of the sessions to come.
-- depends: 0021_revoked_purchases

-- migrate: apply

-- reassign: to others at once, pending where nobody fits. pending: a person looks at each first; they are tried again
-- like every pending when a trainer of the course comes or gets time back.
ALTER TABLE trainer_departures ADD COLUMN plan text NOT NULL DEFAULT 'reassign'
    CONSTRAINT plan_is_known CHECK (plan IN ('reassign', 'pending'));

-- Nothing asked for the sessions of an end: every question about them begins with an allocation.
DROP INDEX sessions_scheduled_by_end;

DROP FUNCTION depart_trainer(text, text);

-- From now on nobody is given to this trainer; depart_next does the rest. Repeating it tells the job that is open, with
-- the plan that it has. No row: no such trainer.
CREATE FUNCTION depart_trainer(trainer_id text, requested_by text, plan text) RETURNS SETOF trainer_departures
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE trainers known SET active = false, version = known.version + 1, updated_at = clock_timestamp()
     WHERE known.trainer_id = depart_trainer.trainer_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE trainer_offers offer SET active = false WHERE offer.trainer_id = depart_trainer.trainer_id;
    INSERT INTO trainer_departures (trainer_id, requested_by, plan, planned)
    VALUES (depart_trainer.trainer_id, depart_trainer.requested_by, depart_trainer.plan,
            (SELECT count(*) FROM taught_by(depart_trainer.trainer_id)))
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM trainer_departures job
                  WHERE job.trainer_id = depart_trainer.trainer_id AND job.finished_at IS NULL;
END
$$;

-- Makes a purchase wait without looking for anybody. `departed`: the trainer whom it had.
CREATE FUNCTION make_pending(bought student_course_purchases, decider text, departed text) RETURNS assignment_decision
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trainer_allocations (purchase_id, student_id, course_id, status, decided_by, reason)
    VALUES (bought.id, bought.student_id, bought.course_id, 'pending', decider,
            jsonb_build_object('rules', 1, 'at', clock_timestamp(), 'filter', 'leave', 'departed', departed));
    RETURN decision_about('pending', bought, live_allocation(bought.id));
END
$$;

-- Gives one purchase to somebody else, or makes it pending. `result`: ok, pending, inactive, or none: there was nothing
-- left, and the job is finished; so it is when the trainer is active again.
CREATE OR REPLACE FUNCTION depart_next(departure_id uuid) RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    job trainer_departures;
    bought student_course_purchases;
    live trainer_allocations;
    decision assignment_decision;
BEGIN
    SELECT * INTO job FROM trainer_departures WHERE id = departure_id;
    SELECT purchase.* INTO bought
      FROM trainers JOIN student_course_purchases purchase
           ON purchase.id = (SELECT taught FROM taught_by(job.trainer_id) AS taught LIMIT 1)
     WHERE trainers.trainer_id = job.trainer_id AND NOT trainers.active
       FOR NO KEY UPDATE OF purchase;
    IF NOT FOUND THEN
        UPDATE trainer_departures SET finished_at = clock_timestamp() WHERE id = departure_id AND finished_at IS NULL;
        decision.result := 'none';
        RETURN decision;
    END IF;
    PERFORM lock_student(bought.student_id);
    live := live_allocation(bought.id);
    IF live.status = 'approved' AND live.trainer_id = job.trainer_id THEN
        PERFORM give_back(bought, live, job.requested_by);
        live := NULL;
    END IF;
    IF bought.status <> 'active' THEN
        decision := decision_about('inactive', bought, NULL);
    ELSIF job.plan = 'pending' AND live.id IS NULL AND sessions_missing(bought) > 0 THEN
        decision := make_pending(bought, job.requested_by, job.trainer_id);
    ELSE
        decision := decide(bought, live_allocation(bought.id), NULL, job.requested_by);
    END IF;
    INSERT INTO trainer_departure_items (departure_id, purchase_id, result, trainer_id)
    VALUES (depart_next.departure_id, bought.id,
            CASE decision.result WHEN 'ok' THEN 'reassigned' WHEN 'pending' THEN 'pending' ELSE 'ended' END,
            decision.trainer_id)
    ON CONFLICT DO NOTHING;
    RETURN decision;
END
$$;

GRANT EXECUTE ON FUNCTION depart_trainer(text, text, text) TO coursepay_gateway;

-- migrate: rollback

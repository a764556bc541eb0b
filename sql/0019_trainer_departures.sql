-- A trainer leaves: what they would have taught goes to others, or waits for a person, as a job with a report.
-- depends: 0018_rescheduling

-- migrate: apply

CREATE TABLE trainer_departures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    trainer_id text NOT NULL REFERENCES trainers (trainer_id),
    requested_by text NOT NULL,
    -- How many allocations with sessions to come there were.
    planned integer NOT NULL CONSTRAINT planned_counts CHECK (planned >= 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE UNIQUE INDEX one_open_departure_per_trainer ON trainer_departures (trainer_id) WHERE finished_at IS NULL;
CREATE INDEX departures_of_trainer ON trainer_departures (trainer_id, created_at);

CREATE TABLE trainer_departure_items (
    departure_id uuid NOT NULL REFERENCES trainer_departures (id),
    purchase_id uuid NOT NULL REFERENCES student_course_purchases (id),
    -- ended: the purchase needs nobody now (frozen, or all is held).
    result text NOT NULL CONSTRAINT result_is_known CHECK (result IN ('reassigned', 'pending', 'ended')),
    trainer_id text,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (departure_id, purchase_id)
);

-- The purchases whose sessions to come a trainer still has.
CREATE FUNCTION taught_by(trainer text) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT live.purchase_id FROM trainer_allocations live
                  WHERE live.trainer_id = trainer AND live.status = 'approved'
                    AND EXISTS (SELECT FROM tutoring_sessions session
                                 WHERE session.allocation_id = live.id AND session.status = 'scheduled'
                                   AND session.starts_at > clock_timestamp())
                  ORDER BY live.first_session_at, live.id;
END
$$;

-- From now on nobody is given to this trainer; depart_next does the rest. Repeating it tells the job that is open.
-- No row: no such trainer.
CREATE FUNCTION depart_trainer(trainer_id text, requested_by text) RETURNS SETOF trainer_departures
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE trainers known SET active = false, version = known.version + 1, updated_at = clock_timestamp()
     WHERE known.trainer_id = depart_trainer.trainer_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE trainer_offers offer SET active = false WHERE offer.trainer_id = depart_trainer.trainer_id;
    INSERT INTO trainer_departures (trainer_id, requested_by, planned)
    VALUES (depart_trainer.trainer_id, depart_trainer.requested_by,
            (SELECT count(*) FROM taught_by(depart_trainer.trainer_id)))
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM trainer_departures job
                  WHERE job.trainer_id = depart_trainer.trainer_id AND job.finished_at IS NULL;
END
$$;

-- Gives one purchase to somebody else, or makes it pending. `result`: ok, pending, inactive, or none: there was nothing
-- left, and the job is finished; so it is when the trainer is active again.
CREATE FUNCTION depart_next(departure_id uuid) RETURNS assignment_decision
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
    END IF;
    IF bought.status = 'active' THEN
        decision := decide(bought, live_allocation(bought.id), NULL, job.requested_by);
    ELSE
        decision := decision_about('inactive', bought, NULL);
    END IF;
    INSERT INTO trainer_departure_items (departure_id, purchase_id, result, trainer_id)
    VALUES (depart_next.departure_id, bought.id,
            CASE decision.result WHEN 'ok' THEN 'reassigned' WHEN 'pending' THEN 'pending' ELSE 'ended' END,
            decision.trainer_id)
    ON CONFLICT DO NOTHING;
    RETURN decision;
END
$$;

GRANT SELECT ON trainer_departures, trainer_departure_items TO coursepay_gateway, coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION depart_trainer(text, text) TO coursepay_gateway;
GRANT EXECUTE ON FUNCTION depart_next(uuid) TO coursepay_assignment_worker;

-- migrate: rollback

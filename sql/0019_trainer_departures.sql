-- A trainer leaves: what they would have taught goes to others, or waits for a person, as a job with a report.
-- depends: 0018_sweeps_and_retries

-- migrate: apply

CREATE TABLE trainer_departures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    trainer_id text NOT NULL REFERENCES trainers (trainer_id),
    requested_by text NOT NULL,
    -- How many allocations with sessions to come there were.
    planned integer NOT NULL CONSTRAINT planned_counts CHECK (planned >= 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    -- reassign: to others at once, pending where nobody fits. pending: a person looks at each first; they are tried
    -- again like every pending when a trainer of the course comes or gets time back.
    plan text NOT NULL DEFAULT 'reassign' CONSTRAINT plan_is_known CHECK (plan IN ('reassign', 'pending'))
);
CREATE UNIQUE INDEX one_open_departure_per_trainer ON trainer_departures (trainer_id) WHERE finished_at IS NULL;
CREATE INDEX departures_of_trainer ON trainer_departures (trainer_id, created_at);

CREATE TABLE trainer_departure_items (
    departure_id uuid NOT NULL REFERENCES trainer_departures (id),
    purchase_id uuid NOT NULL REFERENCES student_course_purchases (id),
    -- ended: the purchase needs nobody now (frozen, or all is held). failed: it could not be given to anybody yet, for
    -- `error`; it is tried again until the job is finished.
    result text NOT NULL
        CONSTRAINT result_is_known CHECK (result IN ('reassigned', 'pending', 'ended', 'failed')),
    trainer_id text,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    error text,
    PRIMARY KEY (departure_id, purchase_id),
    CONSTRAINT a_failure_has_its_error CHECK ((result = 'failed') = (error IS NOT NULL))
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

-- Whatever the item said before: what can be done now of a job leaves out what failed within the last minute, so that a
-- failure which is not written down would be tried again at once, and for ever.
CREATE FUNCTION set_departure_aside(departure_id uuid, purchase_id uuid, error text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO trainer_departure_items (departure_id, purchase_id, result, error)
    VALUES (departure_id, purchase_id, 'failed', left(error, 500))
    ON CONFLICT ON CONSTRAINT trainer_departure_items_pkey DO UPDATE
       SET result = 'failed', trainer_id = NULL, error = excluded.error, done_at = clock_timestamp()
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

-- The sessions to come, the earliest first, that the trainer would not be given any more as they are defined now.
-- `conflict`: leave, slot (outside the hours) or specialty (the course, or its mode, is not taught). `found`: how many
-- there are, however many are told.
CREATE FUNCTION sessions_against(trainer text, rows_max integer)
RETURNS TABLE (session_id uuid, student_id text, course_id text, starts_at timestamptz, ends_at timestamptz,
               conflict text, found bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT booked.id, booked.student_id, booked.course_id, booked.starts_at, booked.ends_at, conflict, count(*) OVER ()
      FROM tutoring_sessions booked JOIN trainers teacher ON teacher.trainer_id = booked.trainer_id
           LEFT JOIN trainer_offers offer
           ON offer.trainer_id = booked.trainer_id AND offer.course_id = booked.course_id
              AND CASE booked.travel_minutes WHEN 0 THEN offer.online ELSE offer.in_person END,
           LATERAL (SELECT tstzrange(booked.starts_at, booked.ends_at, '[)')) AS session (during),
           LATERAL (SELECT CASE
               WHEN EXISTS (SELECT FROM trainer_time_off off
                             WHERE off.trainer_id = booked.trainer_id
                               AND tstzrange(off.starts_at, off.ends_at, '[)') && during) THEN 'leave'
               WHEN NOT works_at(teacher.working, teacher.time_zone, ARRAY[during]) THEN 'slot'
               WHEN offer.trainer_id IS NULL THEN 'specialty' END) AS judged (conflict)
     WHERE hashtextextended(booked.trainer_id, 0) = hashtextextended(trainer, 0) AND booked.trainer_id = trainer
       AND booked.status IN ('scheduled', 'completed') AND booked.held && tstzrange(now(), NULL)
       AND booked.status = 'scheduled' AND booked.starts_at > now() AND conflict IS NOT NULL
     ORDER BY booked.starts_at, booked.id
     LIMIT rows_max
$$;

-- For a trainer whom a new definition made inactive: the job that gives their sessions to come to others. No row: there
-- are none.
CREATE FUNCTION depart_if_booked(trainer_id text, requested_by text) RETURNS SETOF trainer_departures
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT taught_by(depart_if_booked.trainer_id))
       OR EXISTS (SELECT FROM trainer_departures job
                   WHERE job.trainer_id = depart_if_booked.trainer_id AND job.finished_at IS NULL) THEN
        RETURN QUERY SELECT * FROM depart_trainer(depart_if_booked.trainer_id, requested_by, 'reassign');
    END IF;
END
$$;

GRANT SELECT ON trainer_departures, trainer_departure_items TO coursepay_gateway, coursepay_assignment_worker;
GRANT EXECUTE ON FUNCTION depart_trainer(text, text, text), depart_if_booked(text, text),
    sessions_against(text, integer) TO coursepay_gateway;
GRANT EXECUTE ON FUNCTION departing(uuid, integer), depart_next(uuid, uuid), set_departure_aside(uuid, uuid, text),
    finish_departure(uuid) TO coursepay_assignment_worker;

-- migrate: rollback

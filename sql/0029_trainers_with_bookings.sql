-- A new definition of a trainer is compared with what is booked: sessions go to others, or are told.
-- depends: 0029_dead_letter_topics

-- migrate: apply

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

GRANT EXECUTE ON FUNCTION sessions_against(text, integer), depart_if_booked(text, text) TO coursepay_gateway;

-- migrate: rollback

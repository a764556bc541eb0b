-- A session is held at another time, by agreement of those who take part.
-- depends: 0015_moving_allocations

-- migrate: apply

-- Same trainer, same length. `result`: ok, duplicate (it is at that time), completed, cancelled, frozen, past (before
-- now), begun, expiry, slot (outside the trainer's hours, or taken), leave or student-clash; only ok changes anything.
CREATE FUNCTION reschedule_session(
    session_id uuid, new_start timestamptz, OUT result text, OUT status text, OUT starts_at timestamptz,
    OUT ends_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases := lock_purchase_of_session(session_id);
    session tutoring_sessions;
    teacher trainers;
    moved tstzrange;
    violated text;
BEGIN
    SELECT * INTO session FROM tutoring_sessions WHERE id = session_id;
    SELECT * INTO teacher FROM trainers WHERE trainer_id = session.trainer_id FOR NO KEY UPDATE;
    moved := tstzrange(new_start, new_start + (session.ends_at - session.starts_at), '[)');
    status := session.status;
    starts_at := session.starts_at;
    ends_at := session.ends_at;
    result := CASE WHEN session.status <> 'scheduled' THEN session.status
                   WHEN session.starts_at = new_start THEN 'duplicate'
                   WHEN bought.status <> 'active' THEN 'frozen'
                   WHEN session.starts_at <= clock_timestamp() THEN 'begun'
                   WHEN new_start <= clock_timestamp() THEN 'past'
                   WHEN upper(moved) > bought.expiry_date THEN 'expiry'
                   WHEN NOT works_at(teacher.working, teacher.time_zone, ARRAY[moved]) THEN 'slot'
                   WHEN EXISTS (SELECT FROM trainer_time_off off
                                 WHERE off.trainer_id = session.trainer_id
                                   AND tstzrange(off.starts_at, off.ends_at, '[)') && moved) THEN 'leave'
                   ELSE 'ok' END;
    IF result <> 'ok' THEN
        RETURN;
    END IF;
    BEGIN
        UPDATE tutoring_sessions held SET starts_at = lower(moved), ends_at = upper(moved) WHERE id = session_id;
    EXCEPTION WHEN exclusion_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        result := CASE violated WHEN 'student_is_free' THEN 'student-clash' ELSE 'slot' END;
        RETURN;
    END;
    starts_at := lower(moved);
    ends_at := upper(moved);
    PERFORM settle_load(session.allocation_id);
    -- Somebody may be waiting for the time that is free now.
    PERFORM change_load(session.trainer_id, 0);
    PERFORM free_student(session.student_id);
END
$$;

GRANT EXECUTE ON FUNCTION reschedule_session(uuid, timestamptz) TO coursepay_gateway;

-- migrate: rollback

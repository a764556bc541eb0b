-- An allocation goes from its trainer to another one, with the sessions that have not begun.
-- depends: 0014_session_changes

-- migrate: apply

-- Nothing changes unless the named trainer passes every check that the automatic decision makes; then what was held
-- stays with the first trainer, whose allocation is cancelled, and the rest becomes an allocation of the second.
-- `result`: ok, duplicate (it is that trainer's already), decided (it is not approved any more), inactive (no session
-- is to come), refused, conflict or missing.
CREATE FUNCTION move_allocation(allocation_id uuid, trainer_id text, decided_by text)
RETURNS assignment_decision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked trainer_allocations;
    bought student_course_purchases;
    decision assignment_decision;
BEGIN
    SELECT * INTO asked FROM trainer_allocations WHERE id = move_allocation.allocation_id;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM trainers known WHERE known.trainer_id = move_allocation.trainer_id) THEN
        decision.result := 'missing';
        RETURN decision;
    END IF;
    SELECT * INTO bought FROM student_course_purchases WHERE id = asked.purchase_id FOR NO KEY UPDATE;
    PERFORM lock_student(bought.student_id);
    SELECT * INTO asked FROM trainer_allocations WHERE id = move_allocation.allocation_id;
    IF asked.status <> 'approved' THEN
        RETURN decision_about('decided', bought, asked);
    ELSIF asked.trainer_id = move_allocation.trainer_id THEN
        RETURN decision_about('duplicate', bought, asked);
    ELSIF bought.status <> 'active' THEN
        RETURN decision_about('refused', bought, asked, bought.status);
    END IF;
    PERFORM lock_several_trainers();
    BEGIN
        PERFORM give_back(bought, asked, decided_by);
        decision := decide(bought, NULL, move_allocation.trainer_id, decided_by);
        IF decision.result <> 'ok' THEN
            RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
        END IF;
    EXCEPTION WHEN triggered_action_exception THEN
        -- The sessions are back; the answer is about the allocation as it is.
        RETURN decision_about(decision.result, bought, asked, decision.filter, decision.conflicts);
    END;
    RETURN decision;
END
$$;

GRANT EXECUTE ON FUNCTION move_allocation(uuid, text, text) TO coursepay_gateway;

-- migrate: rollback

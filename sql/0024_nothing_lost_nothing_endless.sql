-- Cancelled sessions are made up whoever had them; a pending that lacks nothing ends; two trainers are locked safely.
-- depends: 0023_payments_for_a_person

-- migrate: apply

-- Locks are taken in this order everywhere: purchase, student (advisory), trainer, offers, sessions. At most one
-- trainer at a time: a candidate who cannot be booked is let go of. Whoever needs a second one (a move, a departure,
-- a make-up of another trainer's session, the sweep, a catalogue) calls this before the first: so only one transaction
-- holds a trainer while it waits for another, and no two wait for each other.
CREATE FUNCTION lock_several_trainers() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('several trainers', 0))
$$;

-- Null: booked. Else why not: somebody else was faster, or the trainer was replaced meanwhile. Then the trainer is not
-- locked any more: an UPDATE that waited keeps the row that it found changed, so that it has to be undone.
CREATE OR REPLACE FUNCTION book_trainer(
    wish tutoring_wish, trainer text, seen_version integer, chosen tstzrange[], allocation uuid, decider text, why jsonb
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    violated text;
BEGIN
    -- The lock on the trainer, the capacity check and the fairness of the next choice in one.
    UPDATE trainers SET load_minutes = load_minutes + wish.weekly_minutes
     WHERE trainer_id = trainer AND active AND version = seen_version
       AND load_minutes + wish.weekly_minutes <= weekly_capacity_minutes;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
    END IF;
    UPDATE trainer_offers SET load_minutes = load_minutes + wish.weekly_minutes WHERE trainer_id = trainer;
    INSERT INTO trainer_allocations AS live (id, purchase_id, student_id, course_id, trainer_id, status, reason,
                                             decided_by, weekly_minutes, session_count, first_session_at)
    VALUES (allocation, wish.purchase_id, wish.student_id, wish.course_id, trainer, 'approved', why, decider,
            wish.weekly_minutes, wish.sessions, lower(chosen[1]))
    ON CONFLICT (id) DO UPDATE
       SET trainer_id = excluded.trainer_id, status = 'approved', reason = excluded.reason,
           decided_by = excluded.decided_by, weekly_minutes = excluded.weekly_minutes, revision = live.revision + 1,
           session_count = excluded.session_count, first_session_at = excluded.first_session_at,
           decided_at = clock_timestamp(), tried_at = clock_timestamp();
    INSERT INTO tutoring_sessions (allocation_id, sequence_no, trainer_id, student_id, course_id, starts_at, ends_at,
                                   travel_minutes)
    SELECT allocation, number, trainer, wish.student_id, wish.course_id, lower(session), upper(session),
           wish.travel_minutes
      FROM unnest(chosen) WITH ORDINALITY AS planned (session, number)
     ORDER BY number;
    RETURN NULL;
EXCEPTION
    WHEN triggered_action_exception THEN
        RETURN 'capacity';
    WHEN exclusion_violation THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        RETURN CASE violated WHEN 'student_is_free' THEN 'student-clash' ELSE 'slot' END;
END
$$;

-- A pending that nothing is lacking for any more is over; any other is left as it is.
CREATE FUNCTION end_pending(live trainer_allocations, decider text) RETURNS trainer_allocations
LANGUAGE plpgsql AS $$
BEGIN
    IF live.status = 'pending' THEN
        UPDATE trainer_allocations SET status = 'cancelled', decided_by = decider, decided_at = clock_timestamp()
         WHERE id = live.id
        RETURNING * INTO live;
    END IF;
    RETURN live;
END
$$;

-- Under the locks of purchase and student, for an active purchase without an approved allocation.
-- A named trainer who cannot is refused and nothing is written; when nobody can, the allocation is pending.
-- `inactive`: no session is lacking; a pending ends.
CREATE OR REPLACE FUNCTION decide(
    bought student_course_purchases, live trainer_allocations, only_trainer text, decider text
) RETURNS assignment_decision
LANGUAGE plpgsql AS $$
DECLARE
    allocation uuid := COALESCE(live.id, gen_random_uuid());
    wanted integer := sessions_missing(bought);
    found trainer_search;
    conflicts jsonb;
    why jsonb;
BEGIN
    IF wanted <= 0 THEN
        RETURN decision_about('inactive', bought, end_pending(live, decider));
    END IF;
    found := seek_as_allowed(bought, wanted, only_trainer, allocation, decider);
    IF found.failed IS NULL THEN
        RETURN decision_about('ok', bought, live_allocation(bought.id));
    END IF;
    IF only_trainer IS NOT NULL THEN
        conflicts := CASE WHEN found.failed = 'student-clash' OR found.left_after[5] > 0
                          THEN sessions_in_the_way(only_trainer, bought.student_id, found.dates) ELSE '[]' END;
        RETURN decision_about(CASE conflicts WHEN '[]' THEN 'refused' ELSE 'conflict' END, bought, live, found.failed,
                              conflicts);
    END IF;
    why := explanation(found, smallest_relaxation(bought, wanted, found)) || what_would_help(bought, wanted);
    IF live.reason ->> 'filter' = found.failed THEN
        UPDATE trainer_allocations SET reason = why, tried_at = clock_timestamp() WHERE id = allocation;
        RETURN decision_about('duplicate', bought, live_allocation(bought.id));
    END IF;
    INSERT INTO trainer_allocations AS earlier (id, purchase_id, student_id, course_id, status, reason, decided_by)
    VALUES (allocation, bought.id, bought.student_id, bought.course_id, 'pending', why, decider)
    ON CONFLICT (id) DO UPDATE
       SET reason = why, decided_by = decider, revision = earlier.revision + 1, decided_at = clock_timestamp(),
           tried_at = clock_timestamp();
    RETURN decision_about('pending', bought, live_allocation(bought.id));
END
$$;

-- Makes sessions and allocation what the purchase is now, whatever the event said; doing it twice changes nothing.
-- `result`: ok, pending, duplicate (nothing to do), missing.
-- Sessions that were held, or have begun, are never taken back: the total is raised to them, of a revoked purchase too.
CREATE OR REPLACE FUNCTION adjust_allocation(purchase_id uuid) RETURNS assignment_decision
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
    IF bought.status IN ('active', 'revoked') THEN
        bought := raise_to_used(bought);
    END IF;
    IF bought.status = 'revoked' THEN
        RETURN revoke_allocation(bought, live);
    ELSIF bought.status <> 'active' THEN
        RETURN decision_about('duplicate', bought, live);
    END IF;
    lacking := sessions_missing(bought);
    IF lacking > 0 AND live.status = 'approved' THEN
        PERFORM append_sessions(bought, live, lacking, clock_timestamp());
    ELSIF lacking > 0 THEN
        RETURN decide(bought, live, NULL, 'auto');
    END IF;
    IF lacking < 0 THEN
        PERFORM cancel_last_sessions(bought, -lacking);
    END IF;
    IF lacking <= 0 AND live.status = 'pending' THEN
        RETURN decision_about('ok', bought, end_pending(live, 'auto'));
    END IF;
    RETURN decision_about(CASE lacking WHEN 0 THEN 'duplicate' ELSE 'ok' END, bought, live_allocation(bought.id));
END
$$;

-- While the purchase lacks a session, another one is added at the end: by the trainer who has it now, whoever lost one.
-- Has it none any more, it waits for one again. `result`: ok, duplicate or completed.
CREATE OR REPLACE FUNCTION cancel_session(session_id uuid, actor text, OUT result text, OUT status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    bought student_course_purchases := lock_purchase_of_session(session_id);
    live trainer_allocations := live_allocation(bought.id);
    session tutoring_sessions;
BEGIN
    SELECT * INTO session FROM tutoring_sessions WHERE id = session_id;
    status := session.status;
    result := CASE session.status WHEN 'cancelled' THEN 'duplicate' WHEN 'completed' THEN 'completed' ELSE 'ok' END;
    IF result <> 'ok' THEN
        RETURN;
    END IF;
    status := 'cancelled';
    IF live.trainer_id <> session.trainer_id THEN
        PERFORM lock_several_trainers();
    END IF;
    PERFORM FROM trainers WHERE trainer_id = session.trainer_id FOR NO KEY UPDATE;
    UPDATE tutoring_sessions freed SET status = 'cancelled' WHERE id = session_id;
    PERFORM change_load(session.trainer_id, 0);
    IF sessions_missing(bought) > 0 THEN
        IF live.status = 'approved' THEN
            PERFORM append_sessions(bought, live, sessions_missing(bought), session.starts_at);
        ELSIF live.id IS NULL AND bought.status = 'active' THEN
            -- As one whose trainer left; the worker tries it at once.
            INSERT INTO trainer_allocations (purchase_id, student_id, course_id, status, decided_by, reason, tried_at)
            VALUES (bought.id, bought.student_id, bought.course_id, 'pending', actor,
                    jsonb_build_object('rules', 1, 'at', clock_timestamp(), 'filter', 'leave'),
                    now() - interval '1 day');
        END IF;
    END IF;
    PERFORM settle_load(session.allocation_id);
END
$$;

-- Nothing changes unless the named trainer passes every check that the automatic decision makes; then what was held
-- stays with the first trainer, whose allocation is cancelled, and the rest becomes an allocation of the second.
-- `result`: ok, duplicate (it is that trainer's already), decided (it is not approved any more), inactive (no session
-- is to come), refused, conflict or missing.
CREATE OR REPLACE FUNCTION move_allocation(allocation_id uuid, trainer_id text, decided_by text)
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

-- The sweep for what only time changes: allocations whose last session is past stop being load, purchases expire and
-- those of them that still wait are given up. Whatever is locked is left for the next time. Returns how many changed.
CREATE OR REPLACE FUNCTION sweep_allocations(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    over record;
    changed integer := 0;
BEGIN
    -- Before the purchases, since others wait for those with this lock in hand; it waits for no purchase itself.
    PERFORM lock_several_trainers();
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

-- migrate: rollback

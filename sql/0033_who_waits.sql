-- Who waits is tried when somebody comes who may fit, and not whenever anybody does; what is imported waits at once.
-- depends: 0032_what_time_ends

-- migrate: apply

-- What a pending asks of every trainer, as the last look for one saw it. Minutes null: not known; online and gender
-- null: either will do.
ALTER TABLE trainer_allocations
    ADD COLUMN wanted_minutes integer,
    ADD COLUMN wanted_half_hours bit(336),
    ADD COLUMN wanted_online boolean,
    ADD COLUMN wanted_gender text;

-- The wish of a purchase, without all that may be given up when the student allows anything to be.
CREATE FUNCTION least_asked(bought student_course_purchases, wanted integer) RETURNS tutoring_wish
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wish tutoring_wish;
BEGIN
    SELECT * INTO wish FROM wishes_of(bought, NULL, wanted) LIMIT 1;
    IF relaxations_of(bought) <> '{}' THEN
        wish.half_hours := 0::bit(336);
        wish.online := NULL;
        wish.gender := NULL;
    END IF;
    RETURN wish;
END
$$;

-- Under the locks of purchase and student, for an active purchase without an approved allocation.
-- A named trainer who cannot is refused and nothing is written; when nobody can, the allocation is pending.
-- `inactive`: no session is lacking; a pending ends. A look that found no more than the one before is not repeated
-- within ten seconds, however many trainers get time back.
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
    wish tutoring_wish;
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
    wish := least_asked(bought, wanted);
    IF live.reason ->> 'filter' = found.failed THEN
        UPDATE trainer_allocations
           SET reason = why, tried_at = clock_timestamp(), aside_until = clock_timestamp() + interval '10 seconds',
               wanted_minutes = wish.weekly_minutes, wanted_half_hours = wish.half_hours,
               wanted_online = wish.online, wanted_gender = wish.gender
         WHERE id = allocation;
        RETURN decision_about('duplicate', bought, live_allocation(bought.id));
    END IF;
    INSERT INTO trainer_allocations AS earlier (id, purchase_id, student_id, course_id, status, reason, decided_by,
                                                wanted_minutes, wanted_half_hours, wanted_online, wanted_gender)
    VALUES (allocation, bought.id, bought.student_id, bought.course_id, 'pending', why, decider,
            wish.weekly_minutes, wish.half_hours, wish.online, wish.gender)
    ON CONFLICT (id) DO UPDATE
       SET reason = why, decided_by = decider, revision = earlier.revision + 1, decided_at = clock_timestamp(),
           tried_at = clock_timestamp(), wanted_minutes = wish.weekly_minutes, wanted_half_hours = wish.half_hours,
           wanted_online = wish.online, wanted_gender = wish.gender;
    RETURN decision_about('pending', bought, live_allocation(bought.id));
END
$$;

-- The purchases whose pending allocation deserves another try, the longest untried first: a trainer of the course who
-- may fit came, was replaced or got time back since the last look, or that look is an hour old (leave ends, dates move
-- on). Whether a trainer fits is judged by what cannot be given up: capacity, and, unless the student allows something
-- to be, mode, gender and hours. The ten seconds are for a trainer whose transaction was open during the last look.
CREATE OR REPLACE FUNCTION pendings_to_retry(rows_max integer) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT waiting.purchase_id
      FROM trainer_allocations waiting JOIN student_course_purchases bought ON bought.id = waiting.purchase_id
     WHERE waiting.status = 'pending' AND bought.status = 'active'
       AND (waiting.aside_until IS NULL OR waiting.aside_until < clock_timestamp())
       AND (waiting.tried_at < clock_timestamp() - interval '1 hour'
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

GRANT EXECUTE ON FUNCTION let_wait(uuid[]) TO coursepay_purchase_worker;

-- migrate: rollback

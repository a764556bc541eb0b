-- Finding a trainer for a purchase and booking them: one implementation for the worker and for every person.
-- depends: 0008_candidates

-- migrate: apply

-- Locks are taken in this order everywhere: purchase, student (advisory), trainer, offers, sessions; at most one
-- trainer at a time, since each candidate is tried in a subtransaction of its own.

-- `failed`: the filter that emptied the set; null: `trainer_id` was found. `left_after`: how many were left after
-- specialty, gender, slot, capacity, radius, leave and the exact dates, among the offers looked at.
CREATE TYPE trainer_search AS (
    trainer_id text,
    failed text,
    left_after integer[],
    top ranked_offer[],
    relaxation text,
    dates tstzrange[]
);

-- What a decision was, for whoever asked for it. `result`: ok, pending, duplicate, inactive, missing, decided, refused
-- or conflict. `reason` is the allocation's; `filter` what a pending or a refusal names.
CREATE TYPE assignment_decision AS (
    result text,
    allocation_id uuid,
    purchase_id uuid,
    order_id text,
    student_id text,
    course_id text,
    status text,
    trainer_id text,
    reason jsonb,
    filter text,
    session_count integer,
    first_session_at timestamptz,
    revision integer,
    decided_by text,
    conflicts jsonb
);

CREATE FUNCTION lock_student(student_id text) RETURNS void
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('student ' || student_id, 0))
$$;

-- Why this trainer, or why nobody: kept with the allocation.
CREATE FUNCTION explanation(found trainer_search, smallest text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN jsonb_build_object(
        'rules', 1, 'at', clock_timestamp(), 'filter', found.failed, 'relaxation', smallest,
        'funnel', (SELECT jsonb_object_agg(name, remaining)
                     FROM unnest('{specialty,gender,slot,capacity,radius,leave,dates}'::text[], found.left_after)
                          AS step (name, remaining)),
        'top', to_jsonb(found.top));
END
$$;

-- `moved`: how many sessions are not on the first dates of the pattern, for leave or for other sessions.
CREATE FUNCTION choice(wish tutoring_wish, candidate ranked_offer, chosen tstzrange[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('chosen', to_jsonb(candidate),
                              'movedMinutes', (wish).moved_minutes, 'movedDays', (wish).moved_days,
                              'movedSessions', (SELECT count(*) FROM unnest(chosen) AS session
                                                 WHERE session <> ALL ((wish).dates[:(wish).sessions])))
$$;

-- Null: booked. Else why not: somebody else was faster, or the trainer was replaced meanwhile.
CREATE FUNCTION book_trainer(
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
        RETURN 'capacity';
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
EXCEPTION WHEN exclusion_violation THEN
    GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
    RETURN CASE violated WHEN 'student_is_free' THEN 'student-clash' ELSE 'slot' END;
END
$$;

-- Looks for a trainer, page by page, and books the first who can; without an `allocation` nothing is booked.
-- A small page answers nearly every search, four nearly all. Who is not on them is looked for among all the rest: a
-- rare slot of a popular course must not be called impossible.
CREATE FUNCTION seek_trainer(wish tutoring_wish, only_trainer text, allocation uuid, decider text)
RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    found trainer_search;
    page offers_page;
    candidate ranked_offer;
    dates record;
    furthest text;
    by_place boolean := only_trainer IS NULL AND NOT wish.online AND wish.latitude IS NOT NULL;
    rows_max bigint := 64;
    pages integer := 0;
BEGIN
    found.relaxation := wish.relaxation;
    found.left_after := '{0,0,0,0,0,0,0}';
    found.dates := wish.dates[:wish.sessions];
    IF cardinality(wish.dates) < wish.sessions THEN
        found.failed := 'expiry';
        RETURN found;
    ELSIF student_is_busy(wish.student_id, found.dates, wish.without) THEN
        found.failed := 'student-clash';
        RETURN found;
    END IF;
    page.last_ratio := -1;
    page.last_trainer := '';
    LOOP
        page := next_page(wish, only_trainer, by_place, page.last_ratio, page.last_trainer, rows_max);
        found.left_after := ARRAY(SELECT before + COALESCE(added, 0)
                                    FROM unnest(found.left_after, page.left_after) AS counts (before, added));
        found.top := COALESCE(NULLIF(found.top, '{}'), page.ranked[:5]);
        FOREACH candidate IN ARRAY page.ranked LOOP
            CONTINUE WHEN candidate.trainer_id = wish.barred;
            dates := bookable_dates(wish, candidate.trainer_id);
            found.left_after[6] := found.left_after[6] + (dates.failed IS DISTINCT FROM 'leave')::integer;
            IF dates.failed IS NULL THEN
                found.left_after[7] := found.left_after[7] + 1;
                IF allocation IS NOT NULL THEN
                    dates.failed := book_trainer(wish, candidate.trainer_id, dates.version, dates.chosen, allocation,
                                                 decider, explanation(found, wish.relaxation)
                                                          || choice(wish, candidate, dates.chosen));
                END IF;
            END IF;
            IF dates.failed IS NULL THEN
                found.trainer_id := candidate.trainer_id;
                RETURN found;
            END IF;
            -- Whoever has no leave then got further.
            furthest := CASE WHEN dates.failed = 'leave' THEN COALESCE(furthest, 'leave') ELSE dates.failed END;
        END LOOP;
        IF by_place THEN
            -- Nobody within reach: all the offers, to tell which filter it was.
            page := next_page(wish, NULL, false, -1, '', 1000000);
            found.left_after := page.left_after || found.left_after[6:7];
            EXIT;
        END IF;
        EXIT WHEN page.seen < rows_max OR only_trainer IS NOT NULL;
        pages := pages + 1;
        rows_max := CASE WHEN pages < 4 THEN 256 ELSE 1000000 END;
    END LOOP;
    found.failed := COALESCE(furthest, ('{specialty,gender,slot,capacity,radius}'::text[])[
                                               array_position(found.left_after, 0)]);
    RETURN found;
END
$$;

-- Looks as the student wished, then with one thing after another given up that the student allows.
-- Returns what was found, or why the wish as it was failed.
CREATE FUNCTION seek_as_allowed(
    bought student_course_purchases, wanted integer, only_trainer text, allocation uuid, decider text
) RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    first_search trainer_search;
    found trainer_search;
    wish tutoring_wish;
    given_up text;
BEGIN
    FOREACH given_up IN ARRAY ARRAY[NULL]::text[] || relaxations_of(bought) LOOP
        CONTINUE WHEN NOT may_help(given_up, first_search);
        FOR wish IN SELECT * FROM wishes_of(bought, given_up, wanted) LOOP
            found := seek_trainer(wish, only_trainer, allocation, decider);
            IF found.failed IS NULL THEN
                RETURN found;
            END IF;
            first_search := CASE WHEN given_up IS NULL THEN found ELSE first_search END;
        END LOOP;
    END LOOP;
    RETURN first_search;
END
$$;

-- What the student allows to be given up, the least first.
CREATE FUNCTION relaxations_of(bought student_course_purchases) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT name FROM unnest('{time_30,time_60,weekday,radius,gender,online}'::text[])
                        WITH ORDINALITY AS known (name, number)
                  WHERE bought.metadata #> '{schedule,flexibility}' ? name ORDER BY number);
END
$$;

-- Whether giving this up can change what a search failed by: the filters are passed in their order.
CREATE FUNCTION may_help(given_up text, before trainer_search) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN given_up IS NULL THEN true
                WHEN (before).failed IN ('specialty', 'expiry') THEN false
                WHEN (before).failed = 'gender' THEN given_up = 'gender'
                WHEN (before).failed = 'student-clash' THEN given_up IN ('time_30', 'time_60', 'weekday')
                ELSE true END
$$;

-- The least that would have to be given up for somebody to be found, whether or not the student allows it; null:
-- nothing helps by itself.
CREATE FUNCTION smallest_relaxation(bought student_course_purchases, wanted integer, before trainer_search)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    given_up text;
    wish tutoring_wish;
BEGIN
    FOREACH given_up IN ARRAY '{time_30,time_60,weekday,radius,gender,online}'::text[] LOOP
        CONTINUE WHEN given_up = ANY (relaxations_of(bought)) OR NOT may_help(given_up, before);
        CONTINUE WHEN given_up IN ('radius', 'online')
            AND COALESCE(bought.metadata #>> '{schedule,mode}', 'online') = 'online';
        CONTINUE WHEN given_up = 'gender' AND bought.metadata #>> '{schedule,preferredGender}' IS NULL;
        FOR wish IN SELECT * FROM wishes_of(bought, given_up, wanted) LOOP
            IF (seek_trainer(wish, NULL, NULL, NULL)).failed IS NULL THEN
                RETURN given_up;
            END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;

-- migrate: rollback

-- Looking for a trainer, page by page, as wished and then as the student allows.
-- depends: 0010_booking

-- migrate: apply

-- Looks for a trainer, page by page, and books the first who can; without an `allocation` nothing is booked.
-- A small page answers nearly every search, four nearly all. Who is not on them is looked for among all the rest: a
-- rare slot of a popular course must not be called impossible.
CREATE FUNCTION seek_trainer(wish tutoring_wish, only_trainer text, allocation uuid, decider text)
RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    asked CONSTANT tutoring_wish := wish;
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
    END IF;
    wish.dates := dates_past_students_own(wish);
    IF wish.dates IS NULL THEN
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
                                                          || choice(asked, candidate, dates.chosen));
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

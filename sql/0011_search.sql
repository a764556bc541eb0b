-- Looking for a trainer, page by page, as wished and then as the student allows.
-- depends: 0010_booking

-- migrate: apply

-- Looks for a trainer, page by page, and books the first who can; without an `allocation` nothing is booked.
-- A small page answers nearly every search, four nearly all. Who is not on them is looked for among the rest: a rare
-- slot of a popular course must not be called impossible. `work_max` is what that may cost, counted in offers read; the
-- dates of a candidate cost as much as four. So a search has an end however many are busy, and tells it.
CREATE FUNCTION seek_trainer(
    wish tutoring_wish, only_trainer text, allocation uuid, decider text, work_max integer
) RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    asked CONSTANT tutoring_wish := wish;
    found trainer_search;
    page offers_page;
    by_place boolean := only_trainer IS NULL AND NOT wish.online AND wish.latitude IS NOT NULL;
    rows_max integer := CASE WHEN by_place THEN work_max / 5 ELSE 64 END;
    pages integer := 0;
BEGIN
    found.relaxation := wish.relaxation;
    found.left_after := '{0,0,0,0,0,0,0}';
    found.dates := wish.dates[:wish.sessions];
    found.work_left := work_max;
    found.doubts_left := work_max / 100;
    found.cut_short := false;
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
        found.work_left := found.work_left - page.seen - 4 * cardinality(page.ranked);
        -- One of the first few is nearly always free: the others are then not asked about.
        found := book_the_first(wish, asked, page.ranked[:4], found, allocation, decider);
        IF found.trainer_id IS NULL THEN
            found := book_the_first(wish, asked, page.ranked[5:], found, allocation, decider);
        END IF;
        IF found.trainer_id IS NOT NULL THEN
            RETURN found;
        END IF;
        EXIT WHEN by_place OR page.seen < rows_max OR only_trainer IS NOT NULL;
        found.cut_short := found.cut_short OR found.work_left <= 0;
        EXIT WHEN found.work_left <= 0;
        pages := pages + 1;
        rows_max := CASE WHEN pages < 4 THEN 256 ELSE least(4096, found.work_left) END;
    END LOOP;
    IF by_place THEN
        found.cut_short := found.cut_short OR page.seen = rows_max;
        -- Nobody within reach: all the offers, to tell which filter it was.
        rows_max := greatest(found.work_left, 1000);
        page := next_page(wish, NULL, false, -1, '', rows_max);
        found.cut_short := found.cut_short OR page.seen = rows_max;
        found.left_after := ARRAY(SELECT greatest(near, far) FROM unnest(found.left_after, page.left_after)
                                                                      AS counts (near, far));
    END IF;
    found.failed := COALESCE(('{specialty,gender,slot,capacity,radius,leave,slot}'::text[])[
                                   array_position(found.left_after, 0)], found.failed);
    RETURN found;
END
$$;

-- The first of these candidates who can is booked, or without an `allocation` only named. `asked`: the wish with the
-- dates on which the student has other sessions.
CREATE FUNCTION book_the_first(
    wish tutoring_wish, asked tutoring_wish, ranked ranked_offer[], before trainer_search, allocation uuid, decider text
) RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    found trainer_search := before;
    without_leave CONSTANT integer := before.left_after[6];
    candidate ranked_offer;
    likely record;
    dates record;
BEGIN
    IF ranked = '{}' THEN
        RETURN found;
    END IF;
    FOR likely IN SELECT * FROM who_may_be_free(wish, ranked) LOOP
        found.left_after[6] := without_leave + likely.without_leave;
        CONTINUE WHEN likely.verdict NOT IN ('free', 'unsure');
        IF likely.verdict = 'unsure' THEN
            found.cut_short := found.cut_short OR found.doubts_left <= 0;
            CONTINUE WHEN found.doubts_left <= 0;
            found.doubts_left := found.doubts_left - 1;
        END IF;
        candidate := ranked[likely.number];
        dates := bookable_dates(wish, candidate.trainer_id);
        CONTINUE WHEN dates.failed IS NOT NULL;
        found.left_after[7] := found.left_after[7] + 1;
        IF allocation IS NOT NULL THEN
            found.failed := book_trainer(wish, candidate.trainer_id, dates.version, dates.chosen, allocation, decider,
                                         explanation(found, wish.relaxation)
                                         || choice(asked, candidate, dates.chosen));
        END IF;
        IF found.failed IS NULL THEN
            found.trainer_id := candidate.trainer_id;
            RETURN found;
        END IF;
    END LOOP;
    RETURN found;
END
$$;

-- Looks as the student wished, then with one thing after another given up that the student allows.
-- Returns what was found, or why the wish as it was failed. The searches share what they may cost, in that order, which
-- is twenty thousand busy trainers; each may look at a thousand all the same.
CREATE FUNCTION seek_as_allowed(
    bought student_course_purchases, wanted integer, only_trainer text, allocation uuid, decider text
) RETURNS trainer_search
LANGUAGE plpgsql AS $$
DECLARE
    first_search trainer_search;
    found trainer_search;
    wish tutoring_wish;
    given_up text;
    work_left integer := 100000;
    work_max integer;
BEGIN
    FOREACH given_up IN ARRAY ARRAY[NULL]::text[] || relaxations_of(bought) LOOP
        CONTINUE WHEN NOT may_help(given_up, first_search);
        FOR wish IN SELECT * FROM wishes_of(bought, given_up, wanted) LOOP
            work_max := greatest(work_left, 5000);
            found := seek_trainer(wish, only_trainer, allocation, decider, work_max);
            work_left := work_left - work_max + found.work_left;
            IF found.failed IS NULL THEN
                RETURN found;
            END IF;
            first_search := CASE WHEN given_up IS NULL THEN found ELSE first_search END;
            first_search.cut_short := first_search.cut_short OR found.cut_short;
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
                WHEN (before).failed = 'student-clash' THEN given_up IN ('time_30', 'time_60', 'weekday')
                -- Those who were not looked at may have failed by something else.
                WHEN (before).failed = 'gender' THEN given_up = 'gender' OR (before).cut_short
                ELSE true END
$$;

-- The least that would have to be given up for somebody to be found, whether or not the student allows it; null:
-- nothing helps by itself. `cut_short`: not all the offers were looked at, so that less may do, or something may. A
-- hint is worth a look at some five hundred busy trainers for each thing that may be given up.
CREATE FUNCTION smallest_relaxation(
    bought student_course_purchases, wanted integer, before trainer_search, OUT smallest text, OUT cut_short boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    given_up text;
    wish tutoring_wish;
    found trainer_search;
BEGIN
    cut_short := false;
    FOREACH given_up IN ARRAY '{time_30,time_60,weekday,radius,gender,online}'::text[] LOOP
        CONTINUE WHEN given_up = ANY (relaxations_of(bought)) OR NOT may_help(given_up, before);
        CONTINUE WHEN given_up IN ('radius', 'online')
            AND COALESCE(bought.metadata #>> '{schedule,mode}', 'online') = 'online';
        CONTINUE WHEN given_up = 'gender' AND bought.metadata #>> '{schedule,preferredGender}' IS NULL;
        FOR wish IN SELECT * FROM wishes_of(bought, given_up, wanted) LOOP
            found := seek_trainer(wish, NULL, NULL, NULL, 2500);
            IF found.failed IS NULL THEN
                smallest := given_up;
                RETURN;
            END IF;
            cut_short := cut_short OR found.cut_short;
        END LOOP;
    END LOOP;
END
$$;

-- migrate: rollback

-- A spare date asks nothing of a trainer by itself, and takes the place of one on which the student is busy.
-- depends: 0029_trainers_with_bookings

-- migrate: apply

-- The wish of a purchase for `wanted` sessions after now, once for each way to give up what `relaxation` names; null:
-- as the student said it. In the order in which they are tried: earlier before later, nearer days first.
-- The half hours are those of the wanted dates: after a change of the clocks a spare one may be at an hour at which a
-- trainer who can take all the wanted ones does not work.
CREATE OR REPLACE FUNCTION wishes_of(bought student_course_purchases, relaxation text, wanted integer)
RETURNS SETOF tutoring_wish
LANGUAGE sql STABLE AS $$
    SELECT bought.id, bought.student_id, bought.course_id, online,
           CASE WHEN relaxation = 'gender' THEN NULL ELSE schedule ->> 'preferredGender' END,
           (schedule #>> '{location,latitude}')::double precision,
           (schedule #>> '{location,longitude}')::double precision,
           CASE WHEN relaxation = 'radius' THEN 1.5 ELSE 1 END, slot.duration_minutes * cardinality(slot.weekdays),
           wanted, CASE WHEN online THEN 0 ELSE 15 END, dates, touched_half_hours(dates[:wanted]), relaxation,
           moved.minutes, moved.days,
           CASE WHEN schedule -> 'flexibility' ? 'time_60' THEN 60
                WHEN schedule -> 'flexibility' ? 'time_30' THEN 30 ELSE 0 END, NULL::uuid, NULL::text
      FROM (SELECT COALESCE(bought.metadata -> 'schedule', '{}')) AS wished (schedule),
           weekly_slot_of(bought) AS slot,
           LATERAL (SELECT relaxation IS NOT DISTINCT FROM 'online'
                           OR COALESCE(schedule ->> 'mode', 'online') = 'online') AS place (online),
           LATERAL (SELECT minutes, 0 FROM unnest(CASE relaxation WHEN 'time_30' THEN '{-30,30}'
                                                  WHEN 'time_60' THEN '{-60,60}' ELSE '{0}' END::integer[]) AS minutes
                     WHERE relaxation IS DISTINCT FROM 'weekday'
                    UNION ALL
                    SELECT 0, days FROM generate_series(1, 6) AS days
                     WHERE relaxation = 'weekday') AS moved (minutes, days),
           -- In FROM, so that they are worked out once and not for each mention.
           session_dates(slot, clock_timestamp(), bought.expiry_date, wanted + wanted / 5, moved.minutes, moved.days)
               AS dates
$$;

-- The dates of a wish without those on which the student has other sessions, when that is up to one in ten of the
-- wanted ones; null: more are, or the spare ones are not enough.
CREATE FUNCTION dates_past_students_own(wish tutoring_wish) RETURNS tstzrange[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    free tstzrange[];
BEGIN
    IF NOT student_is_busy(wish.student_id, wish.dates[:wish.sessions], wish.without) THEN
        RETURN wish.dates;
    END IF;
    free := ARRAY(SELECT session FROM unnest(wish.dates) AS session
                   WHERE NOT student_is_busy(wish.student_id, ARRAY[session], wish.without) ORDER BY session);
    IF cardinality(free) < wish.sessions
       OR (SELECT count(*) FROM unnest(wish.dates[:wish.sessions]) AS wanted WHERE wanted <> ALL (free))
          > wish.sessions / 10 THEN
        RETURN NULL;
    END IF;
    RETURN free;
END
$$;

-- Looks for a trainer, page by page, and books the first who can; without an `allocation` nothing is booked.
-- A small page answers nearly every search, four nearly all. Who is not on them is looked for among all the rest: a
-- rare slot of a popular course must not be called impossible.
CREATE OR REPLACE FUNCTION seek_trainer(wish tutoring_wish, only_trainer text, allocation uuid, decider text)
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

-- migrate: rollback

-- For whoever reviews a pending: which trainers nearly fit, and which one allocation could be moved to free the slot.
-- depends: 0012_decisions

-- migrate: apply

-- Up to five trainers of the course, the one who lacks least first: what they fail by (gender, slot, capacity, radius,
-- leave or dates) and by how much. Among the 2000 least loaded, so that the cost has a bound.
CREATE FUNCTION near_misses(wish tutoring_wish) RETURNS jsonb
-- No sort, as in next_page: the 2000 are read along an index, however many more there are.
LANGUAGE plpgsql STABLE SET enable_sort = off SET jit = off AS $$
DECLARE
    home point := point(wish.longitude, wish.latitude);
BEGIN
    RETURN (
        SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                   'trainerId', trainer_id,
                   'fails', CASE fails WHEN '{}' THEN ARRAY[COALESCE(NULLIF(dates.failed, 'slot'), 'dates')]
                                       ELSE fails END,
                   'minutesLacking', NULLIF(greatest(lacking, 0), 0), 'metresTooFar', NULLIF(greatest(too_far, 0), 0),
                   'sessionsInTheWay', CASE fails WHEN '{}' THEN in_the_way END))
               ORDER BY cardinality(fails), worst, load_ratio, trainer_id), '[]')
          FROM (SELECT offer.*, missed.fails, short.lacking, short.too_far,
                       greatest(0, lacking::real / wish.weekly_minutes, unworked / 48.0,
                                too_far / (1000 * greatest(travel_radius_km, 1))) AS worst
                  FROM (SELECT * FROM trainer_offers
                         WHERE course_id = wish.course_id AND active
                           AND CASE WHEN wish.online THEN online ELSE in_person END
                         ORDER BY load_ratio, trainer_id LIMIT 2000) AS offer,
                       LATERAL (SELECT load_minutes + wish.weekly_minutes - weekly_capacity_minutes,
                                       CASE WHEN NOT wish.online
                                            THEN (1000 * (distance_km(place, home) - travel_radius_km))::integer END,
                                       bit_count(wish.half_hours & ~working_slots))
                               AS short (lacking, too_far, unworked),
                       LATERAL (SELECT array_remove(ARRAY[
                                           CASE WHEN gender IS DISTINCT FROM wish.gender AND wish.gender IS NOT NULL
                                                THEN 'gender' END,
                                           CASE WHEN unworked > 0 THEN 'slot' END,
                                           CASE WHEN lacking > 0 THEN 'capacity' END,
                                           CASE WHEN too_far > 0 THEN 'radius' END], NULL)) AS missed (fails)
                 ORDER BY cardinality(fails), worst, load_ratio, trainer_id LIMIT 5) AS nearest,
               LATERAL bookable_dates(wish, trainer_id) AS dates,
               LATERAL (SELECT jsonb_array_length(sessions_in_the_way(trainer_id, wish.student_id,
                                                                      wish.dates[:wish.sessions],
                                                                      wish.travel_minutes)))
                       AS busy (in_the_way));
END
$$;

-- Up to three swaps that would help: moving `allocationId`, which has not begun, from `trainerId` to `toTrainerId`
-- frees the slot that is asked for. Nothing is written: the sessions are only thought away. Of the eight least loaded
-- trainers who work then, and of eight allocations at most, each with a look at some five hundred busy trainers.
CREATE FUNCTION one_swap_repairs(wish tutoring_wish) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    repairs jsonb := '[]';
    swap record;
    other trainer_search;
BEGIN
    FOR swap IN SELECT * FROM possible_swaps(wish) LIMIT 8 LOOP
        wish.without := swap.allocation_id;
        CONTINUE WHEN (bookable_dates(wish, swap.trainer_id)).failed IS NOT NULL;
        other := seek_trainer(wish_elsewhere(swap.allocation_id), NULL, NULL, NULL, 2500);
        CONTINUE WHEN other.trainer_id IS NULL;
        repairs := repairs || jsonb_build_object(
            'trainerId', swap.trainer_id, 'allocationId', swap.allocation_id, 'toTrainerId', other.trainer_id);
        EXIT WHEN jsonb_array_length(repairs) = 3;
    END LOOP;
    RETURN repairs;
END
$$;

-- Trainers, of the 2000 least loaded, who pass every filter but capacity and the exact dates, each with an allocation
-- that has not begun and that alone is in the way: its sessions are, or its minutes.
CREATE FUNCTION possible_swaps(wish tutoring_wish) RETURNS TABLE (trainer_id text, allocation_id uuid)
-- One index for each look, whatever the planner believes of tables that were just filled: of two together, one is read
-- as a whole.
LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    home point := point(wish.longitude, wish.latitude);
    wanted tstzmultirange := held_by(wish.dates[:wish.sessions], wish.travel_minutes);
BEGIN
    RETURN QUERY
    SELECT fitting.trainer_id, live.id
      FROM (SELECT offer.* FROM (SELECT * FROM trainer_offers least
                                  WHERE least.course_id = wish.course_id AND least.active
                                  ORDER BY least.load_ratio, least.trainer_id LIMIT 2000) AS offer
             WHERE CASE WHEN wish.online THEN offer.online
                        ELSE offer.in_person AND distance_km(offer.place, home) <= offer.travel_radius_km END
               AND (wish.gender IS NULL OR offer.gender = wish.gender)
               AND offer.working_slots & wish.half_hours = wish.half_hours
             ORDER BY offer.load_ratio, offer.trainer_id LIMIT 8) AS fitting
           CROSS JOIN LATERAL (
                    SELECT array_agg(busy.allocation_id) FROM tutoring_sessions busy
                     WHERE hashtextextended(busy.trainer_id, 0) = hashtextextended(fitting.trainer_id, 0)
                       AND busy.trainer_id = fitting.trainer_id AND busy.status IN ('scheduled', 'completed')
                       AND busy.held && wanted) AS way (blocking)
           -- Each looked at by itself: not all allocations and sessions there are, to be joined with these eight.
           CROSS JOIN LATERAL (
                    SELECT * FROM trainer_allocations own
                     WHERE own.trainer_id = fitting.trainer_id AND own.status = 'approved' AND own.released_at IS NULL
                       AND (blocking IS NULL OR own.id = ALL (blocking))
                       AND fitting.load_minutes - own.weekly_minutes + wish.weekly_minutes
                           <= fitting.weekly_capacity_minutes
                    OFFSET 0) AS live
           CROSS JOIN LATERAL (
                    SELECT count(*) FROM tutoring_sessions begun
                     WHERE begun.allocation_id = live.id
                       AND (begun.status = 'completed' OR begun.starts_at <= clock_timestamp())) AS held (sessions)
     WHERE held.sessions = 0
     ORDER BY blocking IS NULL, fitting.load_ratio, fitting.trainer_id, live.decided_at DESC, live.id;
END
$$;

-- What the purchase behind an allocation asks for, in its own slot, of anybody but its trainer.
CREATE FUNCTION wish_elsewhere(allocation uuid) RETURNS tutoring_wish
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off AS $$
DECLARE
    live trainer_allocations;
    bought student_course_purchases;
    wish tutoring_wish;
BEGIN
    SELECT * INTO live FROM trainer_allocations WHERE id = allocation;
    SELECT * INTO bought FROM student_course_purchases WHERE id = live.purchase_id;
    SELECT * INTO wish FROM wishes_of(bought, NULL, (SELECT count(*)::integer FROM tutoring_sessions
                                                      WHERE allocation_id = allocation AND status = 'scheduled'))
     LIMIT 1;
    wish.without := allocation;
    wish.barred := live.trainer_id;
    RETURN wish;
END
$$;

-- What a person who reviews a pending is told beside its reason.
CREATE FUNCTION what_would_help(bought student_course_purchases, wanted integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    wish tutoring_wish;
BEGIN
    SELECT * INTO wish FROM wishes_of(bought, NULL, wanted) LIMIT 1;
    IF cardinality(wish.dates) < wanted THEN
        RETURN '{}';
    END IF;
    wish.dates := COALESCE(dates_past_students_own(wish), wish.dates);
    RETURN jsonb_build_object('nearMisses', near_misses(wish), 'repairs', one_swap_repairs(wish));
END
$$;

-- migrate: rollback

-- What the audit log needs to say what was there before a person's decision.
-- depends: 0020_load_recount

-- migrate: apply

-- The allocation that a purchase has, under the purchase's lock: nobody changes it before the caller does.
-- All null: there is none.
CREATE FUNCTION standing_allocation(purchase_id uuid) RETURNS trainer_allocations
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM student_course_purchases WHERE id = standing_allocation.purchase_id FOR NO KEY UPDATE;
    RETURN live_allocation(purchase_id);
END
$$;

-- A trainer as in the body of PUT trainers, under the trainer's lock; null: there is none.
CREATE FUNCTION trainer_definition(trainer_id text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    known trainers;
BEGIN
    SELECT * INTO known FROM trainers given WHERE given.trainer_id = trainer_definition.trainer_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'name', known.name, 'active', known.active, 'gender', known.gender, 'modes', known.modes,
        'courses', (SELECT COALESCE(jsonb_agg(offer.course_id ORDER BY offer.course_id), '[]')
                      FROM trainer_offers offer WHERE offer.trainer_id = known.trainer_id),
        'timeZone', known.time_zone,
        'location', CASE WHEN known.latitude IS NOT NULL
                         THEN jsonb_build_object('latitude', known.latitude, 'longitude', known.longitude) END,
        'travelRadiusKm', known.travel_radius_km, 'weeklyCapacityMinutes', known.weekly_capacity_minutes,
        'weeklySlots', known.weekly_slots, 'languages', known.languages,
        'timeOff', (SELECT COALESCE(jsonb_agg(jsonb_build_object('startsAt', off.starts_at, 'endsAt', off.ends_at)
                                              ORDER BY off.starts_at), '[]')
                      FROM trainer_time_off off WHERE off.trainer_id = known.trainer_id));
END
$$;

GRANT EXECUTE ON FUNCTION standing_allocation(uuid), trainer_definition(text) TO coursepay_gateway;

-- migrate: rollback

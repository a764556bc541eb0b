-- Purchases, trainers, who teaches whom when, and how far each student is.
-- depends: 0001_tables

-- migrate: apply

-- No foreign key to orders here or in any table of the workers: events may come from elsewhere, and order ids that
-- begin with legacy- are of purchases from before coursepay.
CREATE TABLE student_course_purchases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id text NOT NULL
        CONSTRAINT one_purchase_per_order UNIQUE
        CONSTRAINT order_id_is_an_id CHECK (order_id !~ '[^A-Za-z0-9_-]' AND length(order_id) BETWEEN 1 AND 64),
    student_id text NOT NULL
        CONSTRAINT student_id_is_an_id CHECK (student_id !~ '[^A-Za-z0-9_-]' AND length(student_id) BETWEEN 1 AND 64),
    course_id text NOT NULL
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    purchase_tier integer NOT NULL CONSTRAINT purchase_tier_is_known CHECK (purchase_tier IN (10, 20, 30)),
    sessions_total integer NOT NULL,
    purchase_date timestamptz NOT NULL,
    expiry_date timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'active'
        CONSTRAINT status_is_known CHECK (status IN ('active', 'frozen', 'revoked', 'expired')),
    -- timeSlot, date, timeZone, schedule (the order body's object), and what the caller gave.
    metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object'),
    -- The sequence of the newest adjustment that this row shows; -1: none.
    applied_sequence bigint NOT NULL DEFAULT -1 CONSTRAINT applied_sequence_grows CHECK (applied_sequence >= -1),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT sessions_total_is_at_most_the_tier CHECK (sessions_total BETWEEN 0 AND purchase_tier),
    CONSTRAINT expires_after_purchase CHECK (expiry_date > purchase_date)
) WITH (fillfactor = 85);
CREATE INDEX purchases_of_student ON student_course_purchases (student_id, purchase_date, order_id);
CREATE INDEX purchases_to_expire ON student_course_purchases (expiry_date) WHERE status IN ('active', 'frozen');

-- The newest adjustment of each order. It and the purchase come in any order: whoever comes second applies it.
CREATE TABLE purchase_adjustments (
    order_id text PRIMARY KEY
        CONSTRAINT order_id_is_an_id CHECK (order_id !~ '[^A-Za-z0-9_-]' AND length(order_id) BETWEEN 1 AND 64),
    event_id uuid NOT NULL,
    sequence bigint NOT NULL CONSTRAINT sequence_grows CHECK (sequence >= 0),
    -- The derived status of the payment, as in payments.
    status text NOT NULL CONSTRAINT status_is_known CHECK (status IN
        ('created', 'succeeded', 'failed', 'review', 'partially_refunded', 'refunded', 'disputed', 'charged_back')),
    amount_minor bigint NOT NULL CONSTRAINT amount_minor_is_money CHECK (amount_minor BETWEEN 0 AND 1000000000000000),
    refunded_minor bigint NOT NULL
        CONSTRAINT refunded_minor_is_money CHECK (refunded_minor BETWEEN 0 AND 1000000000000000),
    currency text NOT NULL CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What it made of the purchase, which is what its event tells, however often; null: it waits for the purchase.
    purchase_status text CONSTRAINT purchase_status_is_known
        CHECK (purchase_status IN ('active', 'frozen', 'revoked', 'expired')),
    sessions_total integer CONSTRAINT sessions_total_counts CHECK (sessions_total >= 0),
    CONSTRAINT applied_as_a_whole CHECK ((purchase_status IS NULL) = (sessions_total IS NULL))
) WITH (fillfactor = 85);

-- As PUT trainers gave it. Trainers are made inactive, never deleted, so nothing needs a foreign key to them, and
-- an assignment takes no share lock on them.
CREATE TABLE trainers (
    trainer_id text PRIMARY KEY
        CONSTRAINT trainer_id_is_an_id CHECK (trainer_id !~ '[^A-Za-z0-9_-]' AND length(trainer_id) BETWEEN 1 AND 64),
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    gender text CONSTRAINT gender_is_known CHECK (gender IN ('female', 'male')),
    modes text[] NOT NULL DEFAULT '{online}' CONSTRAINT modes_are_known
        CHECK (modes <@ ARRAY['online', 'in_person'] AND cardinality(modes) BETWEEN 1 AND 2),
    time_zone text NOT NULL,
    latitude double precision CONSTRAINT latitude_is_on_earth CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision CONSTRAINT longitude_is_on_earth CHECK (longitude BETWEEN -180 AND 180),
    travel_radius_km double precision
        CONSTRAINT travel_radius_is_a_distance CHECK (travel_radius_km BETWEEN 0 AND 1000),
    weekly_capacity_minutes integer NOT NULL
        CONSTRAINT capacity_fits_in_a_week CHECK (weekly_capacity_minutes BETWEEN 0 AND 10080),
    -- [{weekday, from, to}] in the trainer's zone.
    weekly_slots jsonb NOT NULL DEFAULT '[]'
        CONSTRAINT weekly_slots_is_a_list CHECK (jsonb_typeof(weekly_slots) = 'array'),
    -- The same as minutes from Monday 00:00 in the trainer's zone, the week twice: a session may cross its end.
    working int4multirange NOT NULL DEFAULT '{}',
    languages text[] NOT NULL DEFAULT '{}',
    -- Weekly minutes of the live approved allocations: raised and lowered in their transactions, by the functions only.
    -- It may exceed the capacity when that was lowered later.
    load_minutes integer NOT NULL DEFAULT 0 CONSTRAINT load_is_not_negative CHECK (load_minutes >= 0),
    -- Counts the replacements: a booking that was worked out for another version is not made.
    version integer NOT NULL DEFAULT 1 CONSTRAINT version_counts CHECK (version >= 1),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT place_has_both_coordinates CHECK ((latitude IS NULL) = (longitude IS NULL)),
    CONSTRAINT in_person_needs_a_place_and_a_radius
        CHECK (NOT modes @> ARRAY['in_person'] OR (latitude IS NOT NULL AND travel_radius_km IS NOT NULL))
) WITH (fillfactor = 70);

-- One row per (course, trainer) with all that the candidate query filters by, so that it reads one index range and no
-- other table. Derived from trainers by the functions only.
CREATE TABLE trainer_offers (
    course_id text NOT NULL
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    trainer_id text NOT NULL REFERENCES trainers (trainer_id),
    active boolean NOT NULL,
    gender text CONSTRAINT gender_is_known CHECK (gender IN ('female', 'male')),
    online boolean NOT NULL,
    in_person boolean NOT NULL,
    -- (longitude, latitude).
    place point,
    travel_radius_km double precision,
    -- Half as far again round the place, in degrees: whoever lives outside is too far away even with a relaxed radius.
    reach box,
    -- Half hours of the week from Monday 00:00 UTC, 1 where the trainer works at least a part of it under one of the
    -- zone's offsets: a prefilter, the truth is in trainers.working, the sessions and the time off.
    working_slots bit(336) NOT NULL,
    -- How much else the trainer could do (courses, hours), 0 to 1: the flexible are spared for those whom nobody else
    -- fits.
    breadth real NOT NULL,
    weekly_capacity_minutes integer NOT NULL,
    load_minutes integer NOT NULL DEFAULT 0 CONSTRAINT load_is_not_negative CHECK (load_minutes >= 0),
    -- Load / capacity in thousandths; what the candidates are ordered by.
    load_ratio integer NOT NULL GENERATED ALWAYS AS
        (CASE weekly_capacity_minutes WHEN 0 THEN 1000 ELSE load_minutes * 1000 / weekly_capacity_minutes END) STORED,
    -- When the trainer came, was replaced or got time back: pending allocations tried before are worth another try.
    freed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- In this order it also finds all that a trainer offers: every booking writes these rows and each of their indexes.
    PRIMARY KEY (trainer_id, course_id),
    CONSTRAINT in_person_needs_a_place_and_a_radius
        CHECK (NOT in_person OR (place IS NOT NULL AND travel_radius_km IS NOT NULL AND reach IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX trainer_offers_least_loaded ON trainer_offers (course_id, load_ratio, trainer_id) WHERE active;
-- By a hash, as in the constraints of tutoring_sessions below.
CREATE INDEX trainer_offers_nearby ON trainer_offers USING gist (hashtextextended(course_id, 0), reach)
    WHERE active AND in_person;
CREATE INDEX trainer_offers_freed ON trainer_offers (course_id, freed_at) WHERE active;

CREATE TABLE trainer_time_off (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trainer_id text NOT NULL REFERENCES trainers (trainer_id),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    CONSTRAINT ends_after_start CHECK (ends_at > starts_at)
);
CREATE INDEX trainer_time_off_ranges ON trainer_time_off
    USING gist (trainer_id, tstzrange(starts_at, ends_at, '[)'));

CREATE TABLE trainer_allocations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    purchase_id uuid NOT NULL REFERENCES student_course_purchases (id),
    student_id text NOT NULL
        CONSTRAINT student_id_is_an_id CHECK (student_id !~ '[^A-Za-z0-9_-]' AND length(student_id) BETWEEN 1 AND 64),
    course_id text NOT NULL
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    trainer_id text
        CONSTRAINT trainer_id_is_an_id CHECK (trainer_id !~ '[^A-Za-z0-9_-]' AND length(trainer_id) BETWEEN 1 AND 64),
    status text NOT NULL CONSTRAINT status_is_known CHECK (status IN ('approved', 'pending', 'cancelled')),
    -- filter, relaxation, funnel, candidates, rules version: why this trainer, or why nobody.
    reason jsonb NOT NULL DEFAULT '{}' CONSTRAINT reason_is_an_object CHECK (jsonb_typeof(reason) = 'object'),
    -- The subject of whoever decided; auto is the machine.
    decided_by text NOT NULL DEFAULT 'auto',
    -- Counts the decisions; the events' ids carry it.
    revision integer NOT NULL DEFAULT 1 CONSTRAINT revision_counts CHECK (revision >= 1),
    -- What it adds to the trainer's load, until released_at.
    weekly_minutes integer NOT NULL DEFAULT 0 CONSTRAINT weekly_minutes_count CHECK (weekly_minutes >= 0),
    released_at timestamptz,
    -- As they were when it was approved, so that the event of a decision is the same whenever it is told.
    session_count integer NOT NULL DEFAULT 0 CONSTRAINT session_count_counts CHECK (session_count >= 0),
    first_session_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The last look for a trainer; later than decided_at when it found no more than the one before.
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- After a try that failed, which is not a look that found nobody: tried_at stays.
    aside_until timestamptz,
    -- When the student of a pending got time back.
    student_freed_at timestamptz,
    -- What a pending asks of every trainer, as the last look for one saw it. Minutes null: not known; online and gender
    -- null: either will do.
    wanted_minutes integer,
    wanted_half_hours bit(336),
    wanted_online boolean,
    wanted_gender text,
    -- first_session_at may be null in rows that came with a migration of older purchases.
    CONSTRAINT approved_has_a_trainer CHECK (status <> 'approved' OR trainer_id IS NOT NULL)
) WITH (fillfactor = 70);

-- A second event of a purchase ends here.
CREATE UNIQUE INDEX one_live_allocation_per_purchase ON trainer_allocations (purchase_id) WHERE status <> 'cancelled';
CREATE INDEX allocations_of_purchase ON trainer_allocations (purchase_id, created_at);
CREATE INDEX allocations_pending ON trainer_allocations (created_at, id) WHERE status = 'pending';
CREATE INDEX allocations_pending_of_course ON trainer_allocations (course_id, created_at) WHERE status = 'pending';
CREATE INDEX allocations_pending_of_student ON trainer_allocations (student_id) WHERE status = 'pending';
CREATE INDEX allocations_counted_as_load ON trainer_allocations (trainer_id)
    WHERE status = 'approved' AND released_at IS NULL;
CREATE INDEX allocations_with_a_shortfall ON trainer_allocations (purchase_id)
    WHERE status = 'approved' AND reason ? 'shortfall';

-- Minutes only, so the result is the same in every time zone setting: that makes it immutable, which `timestamptz -
-- interval` in general is not. PL/pgSQL, because a function in SQL that cannot be inlined costs six times as much.
CREATE FUNCTION held_range(starts_at timestamptz, ends_at timestamptz, travel_minutes integer) RETURNS tstzrange
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN tstzrange(starts_at - make_interval(mins => travel_minutes), ends_at + make_interval(mins => travel_minutes),
                     '[)');
END $$;

CREATE TABLE tutoring_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    allocation_id uuid NOT NULL REFERENCES trainer_allocations (id),
    sequence_no integer NOT NULL CONSTRAINT sequence_no_counts CHECK (sequence_no >= 1),
    trainer_id text NOT NULL
        CONSTRAINT trainer_id_is_an_id CHECK (trainer_id !~ '[^A-Za-z0-9_-]' AND length(trainer_id) BETWEEN 1 AND 64),
    student_id text NOT NULL
        CONSTRAINT student_id_is_an_id CHECK (student_id !~ '[^A-Za-z0-9_-]' AND length(student_id) BETWEEN 1 AND 64),
    course_id text NOT NULL
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    -- Before and after, of the trainer's time only: half the travel buffer on each side. 0 online.
    travel_minutes integer NOT NULL DEFAULT 0 CONSTRAINT travel_is_short CHECK (travel_minutes BETWEEN 0 AND 240),
    held tstzrange NOT NULL GENERATED ALWAYS AS (held_range(starts_at, ends_at, travel_minutes)) STORED,
    status text NOT NULL DEFAULT 'scheduled'
        CONSTRAINT status_is_known CHECK (status IN ('scheduled', 'completed', 'cancelled')),
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT one_session_per_sequence_no UNIQUE (allocation_id, sequence_no),
    CONSTRAINT lasts_up_to_eight_hours
        CHECK (ends_at > starts_at AND ends_at - starts_at <= interval '8 hours'),
    CONSTRAINT completed_at_some_time CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    -- Nobody is in two places. The names tell whose time it is: for a trainer's the next candidate is tried, for
    -- a student's no other trainer can help.
    -- By a hash of the id: inserting into a GiST index of texts costs four times as much. The same id has the same
    -- hash, so nothing is missed; two ids of one hash (one pair in 2^64) would be kept apart for nothing.
    CONSTRAINT trainer_is_free EXCLUDE USING gist (hashtextextended(trainer_id, 0) WITH =, held WITH &&)
        WHERE (status IN ('scheduled', 'completed')),
    CONSTRAINT student_is_free
        EXCLUDE USING gist (hashtextextended(student_id, 0) WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&)
        WHERE (status IN ('scheduled', 'completed'))
) WITH (fillfactor = 85);
CREATE INDEX sessions_of_student ON tutoring_sessions (student_id, starts_at);

-- Written by the triggers of 0003 only.
CREATE TABLE student_course_progress (
    purchase_id uuid PRIMARY KEY REFERENCES student_course_purchases (id),
    student_id text NOT NULL,
    course_id text NOT NULL,
    sessions_total integer NOT NULL,
    sessions_completed integer NOT NULL,
    last_completed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT completed_sessions_count CHECK (sessions_completed >= 0)
) WITH (fillfactor = 70);
CREATE INDEX progress_of_student ON student_course_progress (student_id);

-- migrate: rollback

-- Dead letters and what became of them, who did what, the keys of machines, and where a worker died.
-- depends: 0004_offers

-- migrate: apply

-- The index of every W.dlq topic: "how many still matter" is a number that a fix makes smaller. The records themselves
-- stay in Kafka; a row points to one.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker text NOT NULL,
    topic text NOT NULL,
    kafka_partition integer NOT NULL CONSTRAINT kafka_partition_counts CHECK (kafka_partition >= 0),
    kafka_offset bigint NOT NULL CONSTRAINT kafka_offset_counts CHECK (kafka_offset >= 0),
    -- Where the record was first; null for one that did not come from our engine.
    origin_topic text,
    origin_partition integer,
    origin_offset bigint,
    -- Null when the bytes told none.
    order_id text,
    event_type text,
    -- With these, whether what the record asked for was done since is a question to the other tables. event_sequence:
    -- of an adjustment.
    event_id uuid,
    event_sequence bigint,
    error_kind text NOT NULL CONSTRAINT error_kind_is_known
        CHECK (error_kind IN ('transient', 'permanent', 'poison', 'dependency', 'crash', 'unknown')),
    error_class text NOT NULL,
    error_message text,
    -- The same for records that failed alike.
    fingerprint text NOT NULL,
    retry_attempt integer NOT NULL DEFAULT 0 CONSTRAINT retry_attempt_counts CHECK (retry_attempt >= 0),
    replay_id text,
    replay_count integer NOT NULL DEFAULT 0 CONSTRAINT replay_count_counts CHECK (replay_count >= 0),
    traceparent text,
    key_bytes integer NOT NULL DEFAULT 0,
    value_bytes integer NOT NULL DEFAULT 0,
    headers_bytes integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'unresolved' CONSTRAINT status_is_known
        CHECK (status IN ('unresolved', 'replayed', 'resolved', 'parked', 'discarded')),
    dead_at timestamptz NOT NULL,
    indexed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    CONSTRAINT one_row_per_record UNIQUE (topic, kafka_partition, kafka_offset),
    CONSTRAINT settled_at_some_time CHECK (status = 'unresolved' OR settled_at IS NOT NULL)
) WITH (fillfactor = 85);
CREATE INDEX dead_letters_unresolved ON dead_letters (worker, fingerprint) WHERE status = 'unresolved';
CREATE INDEX dead_letters_of_order ON dead_letters (order_id, worker);

-- A record may reach the dead-letter topic twice (a worker died between writing and committing): copies are found here.
CREATE INDEX dead_letters_copies ON dead_letters (worker, origin_topic, origin_partition, origin_offset, replay_id);
CREATE INDEX dead_letters_by_time ON dead_letters (worker, dead_at);

-- Which topic the index is of: one of the same name may have been made anew.
CREATE TABLE dead_letter_topics (
    topic text PRIMARY KEY,
    -- As Kafka calls it. Null: what is indexed is of a topic that is gone.
    topic_id text
);

CREATE TABLE replay_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The order of the chain: each run carries the digest of the one before, so that one taken out or edited shows.
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT one_place_in_the_chain UNIQUE,
    worker text NOT NULL,
    -- The dead-letter topic; its prefix tells one cluster's runs from another's.
    topic text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CONSTRAINT reason_is_given CHECK (length(trim(reason)) > 0),
    target text NOT NULL CONSTRAINT target_is_known CHECK (target IN ('first-tier', 'origin', 'parked')),
    plan_sha256 text NOT NULL CONSTRAINT plan_sha256_is_a_digest CHECK (plan_sha256 ~ '^[0-9a-f]{64}$'),
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT state_is_known CHECK (state IN ('running', 'interrupted', 'stopped', 'finished')),
    -- What a resumed run needs again: rate and the highest replay count.
    options jsonb NOT NULL DEFAULT '{}' CONSTRAINT options_are_an_object CHECK (jsonb_typeof(options) = 'object'),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    -- sha256 is over how the run began, the previous digest included; result_sha256 over that and what it has done.
    previous_sha256 text NOT NULL DEFAULT '',
    sha256 text NOT NULL DEFAULT '',
    result_sha256 text,
    planned integer NOT NULL CONSTRAINT planned_counts CHECK (planned >= 0),
    replayed integer NOT NULL DEFAULT 0,
    skipped_done integer NOT NULL DEFAULT 0,
    parked integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    back_in_dlq integer NOT NULL DEFAULT 0,
    CONSTRAINT counts_fit_the_plan CHECK (least(replayed, skipped_done, parked, failed, back_in_dlq) >= 0
        AND replayed + skipped_done + parked + failed <= planned),
    CONSTRAINT finished_at_some_time CHECK ((state = 'finished') = (finished_at IS NOT NULL))
);
CREATE INDEX replay_runs_by_time ON replay_runs (started_at);

-- Running a plan again finds its records here and does nothing.
CREATE TABLE replay_items (
    run_id uuid NOT NULL REFERENCES replay_runs (id),
    topic text NOT NULL,
    kafka_partition integer NOT NULL CONSTRAINT kafka_partition_counts CHECK (kafka_partition >= 0),
    kafka_offset bigint NOT NULL CONSTRAINT kafka_offset_counts CHECK (kafka_offset >= 0),
    target text NOT NULL CONSTRAINT target_is_known CHECK (target IN ('first-tier', 'origin', 'parked')),
    -- planned: to be sent; sending: an acknowledgement was awaited when last heard of.
    result text NOT NULL CONSTRAINT result_is_known
        CHECK (result IN ('planned', 'sending', 'replayed', 'skipped-done', 'parked', 'failed')),
    -- Which record was meant: begins a digest of its key and value.
    digest text NOT NULL DEFAULT '',
    detail text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, kafka_partition, kafka_offset, target)
);
CREATE INDEX replay_items_of_run ON replay_items (run_id);

-- Appended only: no service holds UPDATE or DELETE.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The token's subject, or the key's name.
    actor text NOT NULL CONSTRAINT actor_is_named CHECK (length(actor) BETWEEN 1 AND 128),
    action text NOT NULL CONSTRAINT action_is_noun_dot_verb CHECK (action ~ '^[a-z_]+[.][a-z_]+$'),
    target text NOT NULL,
    reason text,
    before jsonb,
    after jsonb,
    request_id text
);
CREATE INDEX audit_log_by_time ON audit_log (at);
CREATE INDEX audit_log_of_target ON audit_log (target, at);
CREATE INDEX audit_log_of_unserved_purchases ON audit_log (at) WHERE action = 'purchase.expired_unserved';

-- Only the digest of a key is kept; the key is shown once, when it is made.
CREATE TABLE api_keys (
    id text PRIMARY KEY CONSTRAINT id_is_an_id CHECK (id !~ '[^A-Za-z0-9_-]' AND length(id) BETWEEN 1 AND 64),
    key_sha256 bytea NOT NULL
        CONSTRAINT one_key_per_digest UNIQUE
        CONSTRAINT key_sha256_is_a_digest CHECK (length(key_sha256) = 32),
    roles text[] NOT NULL CONSTRAINT roles_are_some CHECK (cardinality(roles) >= 1),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- Where a worker died, counted per partition: unclean starts at the same committed offset with work dispatched, then a
-- mark before each record. A row exists only while something is suspected or running.
CREATE TABLE worker_crashes (
    worker text NOT NULL,
    topic text NOT NULL,
    kafka_partition integer NOT NULL CONSTRAINT kafka_partition_counts CHECK (kafka_partition >= 0),
    committed_offset bigint NOT NULL CONSTRAINT committed_offset_counts CHECK (committed_offset >= -1),
    dispatched boolean NOT NULL DEFAULT false,
    unclean_starts integer NOT NULL DEFAULT 0 CONSTRAINT unclean_starts_count CHECK (unclean_starts >= 0),
    marked_offset bigint CONSTRAINT marked_offset_counts CHECK (marked_offset >= 0),
    mark_crashes integer NOT NULL DEFAULT 0 CONSTRAINT mark_crashes_count CHECK (mark_crashes >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (worker, topic, kafka_partition)
) WITH (fillfactor = 50);

-- migrate: rollback

-- What the gateway and the notifier keep: prices, orders, payments, events to publish, messages sent.
-- depends:

-- migrate: apply

-- Everything belongs to coursepay_owner, as which the migrator runs this file; it created the roles before.
-- Order, student, course and trainer ids are text of one shape. Money is in minor units (paise) with its currency.
-- Constraints are named for what holds, because their names reach logs and dead letters. An id is checked by what it
-- must not contain and its length: a counted repetition like [..]{1,64} costs ten times as much, more than the rest of
-- an insert.

-- A function of ours is nobody's by default: each is granted to the roles that need it.
ALTER DEFAULT PRIVILEGES FOR ROLE coursepay_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE courses (
    course_id text PRIMARY KEY
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    -- Whose public holidays the course observes: IN, or IN-KA.
    calendar text NOT NULL CONSTRAINT calendar_is_a_country CHECK (calendar ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$')
);

CREATE TABLE course_prices (
    course_id text NOT NULL REFERENCES courses (course_id),
    purchase_tier integer NOT NULL CONSTRAINT purchase_tier_is_known CHECK (purchase_tier IN (10, 20, 30)),
    amount_minor bigint NOT NULL CONSTRAINT amount_minor_is_money CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
    currency text NOT NULL CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (course_id, purchase_tier)
);

CREATE TABLE holidays (
    calendar text NOT NULL CONSTRAINT calendar_is_a_country CHECK (calendar ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'),
    day date NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (calendar, day)
);

CREATE TABLE orders (
    order_id text PRIMARY KEY
        CONSTRAINT order_id_is_an_id CHECK (order_id !~ '[^A-Za-z0-9_-]' AND length(order_id) BETWEEN 1 AND 64),
    provider text NOT NULL
        CONSTRAINT provider_is_an_id CHECK (provider !~ '[^A-Za-z0-9_-]' AND length(provider) BETWEEN 1 AND 64),
    provider_order_id text NOT NULL
        CONSTRAINT provider_order_id_has_a_length CHECK (length(provider_order_id) BETWEEN 1 AND 255),
    student_id text NOT NULL
        CONSTRAINT student_id_is_an_id CHECK (student_id !~ '[^A-Za-z0-9_-]' AND length(student_id) BETWEEN 1 AND 64),
    course_id text NOT NULL
        CONSTRAINT course_id_is_an_id CHECK (course_id !~ '[^A-Za-z0-9_-]' AND length(course_id) BETWEEN 1 AND 64),
    purchase_tier integer NOT NULL CONSTRAINT purchase_tier_is_known CHECK (purchase_tier IN (10, 20, 30)),
    amount_minor bigint NOT NULL CONSTRAINT amount_minor_is_money CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
    currency text NOT NULL CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    -- The order body's object, camelCase as it came.
    schedule jsonb NOT NULL DEFAULT '{}' CONSTRAINT schedule_is_an_object CHECK (jsonb_typeof(schedule) = 'object'),
    metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT one_order_per_provider_order UNIQUE (provider, provider_order_id)
);
CREATE INDEX orders_of_student ON orders (student_id);

-- The state of an order's payment, derived from its facts. payment_id (the accepted payment) and confirmed_at are set
-- once and together. sequence counts the changes after that; PaymentAdjusted carries it.
CREATE TABLE payments (
    order_id text PRIMARY KEY REFERENCES orders (order_id),
    provider text NOT NULL
        CONSTRAINT provider_is_an_id CHECK (provider !~ '[^A-Za-z0-9_-]' AND length(provider) BETWEEN 1 AND 64),
    payment_id text
        CONSTRAINT payment_id_is_an_id CHECK (payment_id !~ '[^A-Za-z0-9_-]' AND length(payment_id) BETWEEN 1 AND 64),
    status text NOT NULL DEFAULT 'created' CONSTRAINT status_is_known CHECK (status IN
        ('created', 'succeeded', 'failed', 'review', 'partially_refunded', 'refunded', 'disputed', 'charged_back')),
    amount_minor bigint NOT NULL CONSTRAINT amount_minor_is_money CHECK (amount_minor BETWEEN 1 AND 1000000000000000),
    currency text NOT NULL CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    refunded_minor bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0 CONSTRAINT sequence_grows CHECK (sequence >= 0),
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT refund_is_at_most_the_amount CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT accepted_at_once CHECK ((payment_id IS NULL) = (confirmed_at IS NULL)),
    -- `review` is before or after success.
    CONSTRAINT status_fits_acceptance CHECK (status = 'review'
        OR (confirmed_at IS NULL) = (status IN ('created', 'failed')))
) WITH (fillfactor = 80);

-- One payment pays one order.
CREATE UNIQUE INDEX one_order_per_payment ON payments (provider, payment_id) WHERE payment_id IS NOT NULL;
-- What waits for a person is counted every few seconds and listed; so it has an index of little more than it, here and
-- at facts and tasks below.
CREATE INDEX payments_in_review ON payments (created_at, order_id) WHERE status = 'review';

-- What a provider said, exactly as received, and what made it genuine. Appended only. A fact about an order that we do
-- not know (order_id is null) is kept as well: whoever finds the order later finds its facts.
CREATE TABLE payment_facts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text,
    provider text NOT NULL
        CONSTRAINT provider_is_an_id CHECK (provider !~ '[^A-Za-z0-9_-]' AND length(provider) BETWEEN 1 AND 64),
    source text NOT NULL CONSTRAINT source_is_known CHECK (source IN ('callback', 'webhook', 'fetch', 'staff')),
    provider_event_id text
        CONSTRAINT provider_event_id_has_a_length CHECK (length(provider_event_id) BETWEEN 1 AND 255),
    provider_order_id text,
    -- Of which payment: a refund of another payment of the order must not touch the order's state.
    payment_id text,
    -- What it is about: the refund, the dispute or the payment.
    entity_id text,
    event text NOT NULL CONSTRAINT event_has_a_length CHECK (length(event) BETWEEN 1 AND 128),
    status text,
    amount_minor bigint,
    -- The total refunded so far, where that tells two events of one entity apart (Stripe's charge.refunded).
    cumulative bigint,
    currency text,
    body bytea NOT NULL,
    body_sha256 bytea NOT NULL CONSTRAINT body_sha256_is_a_digest CHECK (length(body_sha256) = 32),
    -- The check that it passed, and the number of the secret that did it; never the secret.
    verified_by text NOT NULL,
    occurred_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A fact is a duplicate by any of these three; INSERT .. ON CONFLICT DO NOTHING meets them all. Two partial refunds of
-- one payment are two entities, so two facts.
CREATE UNIQUE INDEX one_fact_per_provider_event ON payment_facts (provider, provider_event_id)
    WHERE provider_event_id IS NOT NULL;
CREATE UNIQUE INDEX one_fact_per_body ON payment_facts (provider, body_sha256);

-- With the order: a forged pair of ids must not make the genuine one a duplicate.
CREATE UNIQUE INDEX one_fact_per_change
    ON payment_facts (provider, entity_id, event, status, cumulative, provider_order_id)
    NULLS NOT DISTINCT WHERE entity_id IS NOT NULL;
CREATE INDEX payment_facts_of_order ON payment_facts (order_id, id);
CREATE INDEX payment_facts_without_order ON payment_facts (provider, provider_order_id) WHERE order_id IS NULL;

-- A refund or a dispute may name its payment and no order.
CREATE INDEX payment_facts_without_order_of_payment ON payment_facts (provider, payment_id) WHERE order_id IS NULL;
CREATE INDEX captures_without_order ON payment_facts (received_at) WHERE order_id IS NULL AND status = 'captured';
CREATE INDEX refunds_failed ON payment_facts (order_id, payment_id) WHERE status = 'refund_failed';

-- Events that wait for Kafka: the bare Avro body with what is needed to frame it. Claimed by a lease on this clock.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL
        CONSTRAINT order_id_is_an_id CHECK (order_id !~ '[^A-Za-z0-9_-]' AND length(order_id) BETWEEN 1 AND 64),
    -- The order of the events of one order; taken under a lock of that order.
    order_seq integer NOT NULL CONSTRAINT order_seq_counts CHECK (order_seq >= 1),
    event_id uuid NOT NULL CONSTRAINT an_event_is_published_once UNIQUE,
    type text NOT NULL CONSTRAINT type_is_a_name CHECK (type ~ '^[A-Z][A-Za-z]+$' AND length(type) <= 64),
    version integer NOT NULL CONSTRAINT version_counts CHECK (version >= 1),
    payload bytea NOT NULL,
    traceparent text CONSTRAINT traceparent_is_short CHECK (length(traceparent) <= 128),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz,
    lease_token uuid,
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT attempts_count CHECK (attempts >= 0),
    last_error text,
    published_at timestamptz,
    CONSTRAINT one_event_per_order_seq UNIQUE (order_id, order_seq),
    CONSTRAINT a_lease_has_a_token CHECK ((lease_until IS NULL) = (lease_token IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000);

-- The claim walks this, and asks one_event_per_order_seq for an earlier row of the same order.
CREATE INDEX outbox_waiting ON outbox (due_at, id) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- What must happen later about a payment. The id is the provider's idempotency key of a refund, so it is unique beyond
-- this database.
CREATE TABLE payment_tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id text NOT NULL REFERENCES orders (order_id),
    kind text NOT NULL CONSTRAINT kind_is_known CHECK (kind IN ('verify', 'reconcile', 'refund')),
    -- What within the order, when several tasks of a kind may be open: the payment that a refund is of.
    subject text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}' CONSTRAINT detail_is_an_object CHECK (jsonb_typeof(detail) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz,
    lease_token uuid,
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT attempts_count CHECK (attempts >= 0),
    last_error text,
    done_at timestamptz,
    CONSTRAINT a_lease_has_a_token CHECK ((lease_until IS NULL) = (lease_token IS NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX one_open_task ON payment_tasks (order_id, kind, subject) WHERE done_at IS NULL;
CREATE INDEX payment_tasks_waiting ON payment_tasks (due_at) WHERE done_at IS NULL;
CREATE INDEX payment_tasks_of_order ON payment_tasks (order_id);
CREATE INDEX payment_tasks_given_up ON payment_tasks (done_at) WHERE done_at IS NOT NULL AND last_error IS NOT NULL;

-- One row for each provider: up to when all that it knows was compared, and who does the next.
CREATE TABLE provider_sweeps (
    provider text PRIMARY KEY
        CONSTRAINT provider_is_an_id CHECK (provider !~ '[^A-Za-z0-9_-]' AND length(provider) BETWEEN 1 AND 64),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    swept_until timestamptz,
    -- Of the last sweep: facts that nobody had told, and payments that took money for no order of ours.
    facts_found integer NOT NULL DEFAULT 0 CONSTRAINT facts_found_counts CHECK (facts_found >= 0),
    strangers_found integer NOT NULL DEFAULT 0 CONSTRAINT strangers_found_counts CHECK (strangers_found >= 0),
    lease_until timestamptz,
    lease_token uuid,
    -- Since when there is anything to compare.
    known_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT a_lease_has_a_token CHECK ((lease_until IS NULL) = (lease_token IS NULL))
) WITH (fillfactor = 50);

-- The answer of a request that a caller may repeat. status is null while it runs.
CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    route text NOT NULL,
    key text NOT NULL CONSTRAINT key_has_a_length CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    claim uuid NOT NULL CONSTRAINT one_key_per_claim UNIQUE,
    claimed_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status integer CONSTRAINT status_is_http CHECK (status BETWEEN 100 AND 599),
    body bytea,
    location text,
    PRIMARY KEY (caller, route, key),
    CONSTRAINT finished_with_an_answer CHECK ((status IS NULL) = (body IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE notifications (
    event_id uuid NOT NULL,
    channel text NOT NULL DEFAULT 'push' CONSTRAINT channel_is_known CHECK (channel IN ('push')),
    order_id text NOT NULL
        CONSTRAINT order_id_is_an_id CHECK (order_id !~ '[^A-Za-z0-9_-]' AND length(order_id) BETWEEN 1 AND 64),
    student_id text NOT NULL
        CONSTRAINT student_id_is_an_id CHECK (student_id !~ '[^A-Za-z0-9_-]' AND length(student_id) BETWEEN 1 AND 64),
    event_type text NOT NULL
        CONSTRAINT event_type_is_a_name CHECK (event_type ~ '^[A-Z][A-Za-z]+$' AND length(event_type) <= 64),
    status text NOT NULL CONSTRAINT status_is_known CHECK (status IN ('sent', 'failed', 'skipped')),
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (event_id, channel),
    CONSTRAINT failed_with_an_error CHECK (status <> 'failed' OR error IS NOT NULL)
) WITH (fillfactor = 85);
CREATE INDEX notifications_of_order ON notifications (order_id);

-- migrate: rollback

-- What staff decide about payments, and what a nightly look at the providers has covered.
-- depends: 0012_adjusted_purchases

-- migrate: apply

ALTER TABLE payment_facts DROP CONSTRAINT source_is_known;
ALTER TABLE payment_facts ADD CONSTRAINT source_is_known CHECK (source IN ('callback', 'webhook', 'fetch', 'staff'));

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
    CONSTRAINT a_lease_has_a_token CHECK ((lease_until IS NULL) = (lease_token IS NULL))
) WITH (fillfactor = 50);

GRANT SELECT, INSERT, UPDATE ON provider_sweeps TO coursepay_gateway;
GRANT SELECT ON provider_sweeps TO coursepay_operations;

-- migrate: rollback

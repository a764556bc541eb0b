-- How long a provider has gone uncompared counts from its first day, also when no comparison ever came to its end.
-- depends: 0030_dates_of_a_wish

-- migrate: apply

ALTER TABLE provider_sweeps ADD COLUMN known_since timestamptz NOT NULL DEFAULT clock_timestamp();

-- migrate: rollback

-- Which topic the index of dead letters is of: one of the same name may have been made anew.
-- depends: 0028_failed_refunds

-- migrate: apply

CREATE TABLE dead_letter_topics (
    topic text PRIMARY KEY,
    -- As Kafka calls it. Null: what is indexed is of a topic that is gone.
    topic_id text
);
GRANT SELECT, INSERT, UPDATE ON dead_letter_topics TO coursepay_operations;

-- migrate: rollback

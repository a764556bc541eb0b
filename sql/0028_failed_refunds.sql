-- Refunds that came back are counted every few seconds: found by an index of little more than them.
-- depends: 0027_trainers_who_left

-- migrate: apply

CREATE INDEX refunds_failed ON payment_facts (order_id, payment_id) WHERE status = 'refund_failed';

-- migrate: rollback

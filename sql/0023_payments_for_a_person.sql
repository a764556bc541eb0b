-- What waits for a person is counted every few seconds and listed: each is found by an index of little more than it.
-- depends: 0022_departure_plans

-- migrate: apply

CREATE INDEX payments_in_review ON payments (created_at, order_id) WHERE status = 'review';

CREATE INDEX payment_tasks_given_up ON payment_tasks (done_at) WHERE done_at IS NOT NULL AND last_error IS NOT NULL;

CREATE INDEX captures_without_order ON payment_facts (received_at) WHERE order_id IS NULL AND status = 'captured';

-- A refund or a dispute may name its payment and no order.
CREATE INDEX payment_facts_without_order_of_payment ON payment_facts (provider, payment_id) WHERE order_id IS NULL;

-- migrate: rollback

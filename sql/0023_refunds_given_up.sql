-- The refunds that wait for a person, for the list that finance has and for the figure that an alert watches.
-- depends: 0022_outbox_events

-- migrate: apply

CREATE VIEW refunds_given_up AS
-- Until another attempt is under way or has succeeded, money went back by another way, or it turned out that none was
-- taken: not of a capture, whatever the account that was asked knows of it. That is asked row by row, which finds an
-- index: as NOT EXISTS it was a hash of the whole table.
SELECT task.order_id, of_task.payment_id, task.done_at AS since, task.last_error AS reason
  FROM payment_tasks task
 CROSS JOIN COALESCE(task.detail->>'paymentId', split_part(task.subject, '#', 1)) AS of_task (payment_id)
 WHERE task.kind = 'refund' AND task.done_at IS NOT NULL AND task.last_error IS NOT NULL
   AND NOT EXISTS (SELECT FROM payment_tasks later
                    WHERE later.order_id = task.order_id AND later.kind = task.kind
                      AND COALESCE(later.detail->>'paymentId', split_part(later.subject, '#', 1)) = of_task.payment_id
                      AND later.created_at > task.created_at
                      AND (later.done_at IS NULL OR later.last_error IS NULL))
   AND NOT EXISTS (SELECT FROM payment_facts said
                    WHERE said.order_id = task.order_id AND said.payment_id = of_task.payment_id
                      AND (said.status = 'refund_processed' AND said.received_at > task.done_at
                           OR said.status = 'failed' AND said.source = 'fetch'
                              AND (SELECT true FROM payment_facts taken
                                    WHERE taken.order_id = said.order_id AND taken.payment_id = said.payment_id
                                      AND taken.status = 'captured' LIMIT 1) IS NULL))
UNION ALL
-- What staff sent back and the provider could not deliver after all, until it is sent again, has gone back by another
-- refund, or staff have settled as much past the provider. Of a payment that is owed the next attempt follows by
-- itself.
SELECT refund.order_id, refund.payment_id, refund.failed_at, 'the provider could not deliver it'
  FROM (SELECT order_id, payment_id, entity_id, min(received_at) AS failed_at,
               COALESCE(max(amount_minor), 1) AS amount_minor
          FROM payment_facts
         WHERE status = 'refund_failed' AND order_id IS NOT NULL GROUP BY order_id, payment_id, entity_id) AS refund
 WHERE EXISTS (SELECT FROM payment_tasks task
                WHERE task.order_id = refund.order_id AND task.subject = 'by-staff'
                  AND task.detail->>'paymentId' = refund.payment_id AND task.created_at < refund.failed_at)
   AND NOT EXISTS (SELECT FROM payment_tasks later
                    WHERE later.order_id = refund.order_id AND later.kind = 'refund'
                      AND COALESCE(later.detail->>'paymentId', split_part(later.subject, '#', 1)) = refund.payment_id
                      AND later.created_at > refund.failed_at)
   AND NOT EXISTS (SELECT FROM payment_facts said
                    WHERE said.order_id = refund.order_id AND said.payment_id = refund.payment_id
                      AND said.status = 'refund_processed' AND said.entity_id <> refund.entity_id
                      AND said.received_at > refund.failed_at)
   AND refund.amount_minor > COALESCE((SELECT sum(said.amount_minor) FROM payment_facts said
                                        WHERE said.order_id = refund.order_id AND said.payment_id = refund.payment_id
                                          AND said.status = 'settled' AND said.received_at > refund.failed_at), 0);

GRANT SELECT ON refunds_given_up TO coursepay_gateway, coursepay_operations;

-- migrate: rollback

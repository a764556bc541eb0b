"""Payments that no rule can settle: what finance has to look at.

Tables, all read only: payments, payment_tasks, payment_facts, orders.
"""

from dataclasses import dataclass

from services.common.database import Transaction

_IN_REVIEW = "SELECT count(*) FROM payments WHERE status = 'review'"
# Until another attempt is under way or has succeeded, money went back by another way, or it turned out that none was
# taken: not of a capture, whatever the account that was asked knows of it.
_REFUNDS_GIVEN_UP = """
SELECT count(*) FROM payment_tasks task
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
                              AND NOT EXISTS (SELECT FROM payment_facts taken
                                               WHERE taken.order_id = said.order_id
                                                 AND taken.payment_id = said.payment_id
                                                 AND taken.status = 'captured')))
"""
# What staff sent back and the provider could not deliver after all, until it is sent again, has gone back by another
# refund, or staff have settled as much past the provider. Of a payment that is owed the next attempt follows by itself.
_STAFF_REFUNDS_FAILED = """
SELECT count(*)
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
                                          AND said.status = 'settled' AND said.received_at > refund.failed_at), 0)
"""
# Until the provider, or a person, has spoken after all. One that was never captured is in review instead.
_VERIFICATIONS_GIVEN_UP = """
SELECT count(*) FROM payment_tasks task JOIN payments ON payments.order_id = task.order_id
 WHERE task.kind = 'verify' AND task.done_at IS NOT NULL AND task.last_error IS NOT NULL
   AND payments.status = 'succeeded'
   AND NOT EXISTS (SELECT FROM payment_facts said
                    WHERE said.order_id = task.order_id AND said.payment_id = payments.payment_id
                      AND said.status IN ('captured', 'accepted'))
"""
# Until the money went back; of another shop on the same account, for 30 days.
_WITHOUT_ORDER = """
SELECT count(DISTINCT (fact.provider, fact.payment_id)) FROM payment_facts fact
 WHERE fact.order_id IS NULL AND fact.status = 'captured'
   AND fact.received_at > clock_timestamp() - interval '30 days'
   AND NOT EXISTS (SELECT FROM orders
                    WHERE orders.provider = fact.provider AND orders.provider_order_id = fact.provider_order_id)
   AND NOT EXISTS (SELECT FROM payment_facts back
                    WHERE back.order_id IS NULL AND back.provider = fact.provider
                      AND back.payment_id = fact.payment_id
                      AND (back.status = 'refund_processed' OR back.cumulative >= back.amount_minor))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsForAPerson:
    """`in_review`: a person decides. `given_up`: refunds that are owed and not made, or came back, and successes that
    no provider has confirmed. `without_order`: payments that took money for no order of ours.
    """

    in_review: int
    given_up: int
    without_order: int


async def count_payments_for_a_person(connection: Transaction) -> PaymentsForAPerson:
    given_up = [
        await connection.fetchval(statement)
        for statement in (_REFUNDS_GIVEN_UP, _STAFF_REFUNDS_FAILED, _VERIFICATIONS_GIVEN_UP)
    ]
    return PaymentsForAPerson(
        in_review=await connection.fetchval(_IN_REVIEW),
        given_up=sum(given_up),
        without_order=await connection.fetchval(_WITHOUT_ORDER),
    )

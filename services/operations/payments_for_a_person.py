"""Payments that no rule can settle: what finance has to look at.

Tables, all read only: payments, payment_tasks, payment_facts, orders.
"""

from dataclasses import dataclass

from services.common.database import Transaction

# A task that gave up counts until a later one of its kind is there or has succeeded, or money has gone back by another
# way. A verification that gave up has put its payment in review; an order that was never found paid is the sweep's. A
# capture without an order counts until it went back; another shop's on the same account for 30 days.
_COUNTS = """
SELECT (SELECT count(*) FROM payments WHERE status = 'review') AS in_review,
       (SELECT count(*) FROM payment_tasks task
         CROSS JOIN COALESCE(task.detail->>'paymentId', split_part(task.subject, '#', 1)) AS of_task (payment_id)
         WHERE task.done_at IS NOT NULL AND task.last_error IS NOT NULL AND task.kind = 'refund'
           AND NOT EXISTS (SELECT FROM payment_tasks later
                            WHERE later.order_id = task.order_id AND later.kind = task.kind
                              AND COALESCE(later.detail->>'paymentId', split_part(later.subject, '#', 1))
                                = of_task.payment_id
                              AND later.created_at > task.created_at
                              AND (later.done_at IS NULL OR later.last_error IS NULL))
           AND NOT EXISTS (SELECT FROM payment_facts back
                            WHERE back.order_id = task.order_id AND back.status = 'refund_processed'
                              AND back.payment_id = of_task.payment_id
                              AND back.received_at > task.done_at)) AS given_up,
       (SELECT count(DISTINCT (fact.provider, fact.payment_id)) FROM payment_facts fact
         WHERE fact.order_id IS NULL AND fact.status = 'captured'
           AND fact.received_at > clock_timestamp() - interval '30 days'
           AND NOT EXISTS (SELECT FROM orders
                            WHERE orders.provider = fact.provider
                              AND orders.provider_order_id = fact.provider_order_id)
           AND NOT EXISTS (SELECT FROM payment_facts back
                            WHERE back.order_id IS NULL AND back.provider = fact.provider
                              AND back.payment_id = fact.payment_id
                              AND (back.status = 'refund_processed' OR back.cumulative >= back.amount_minor)))
       AS without_order
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsForAPerson:
    """`in_review`: a person decides. `given_up`: money that is to go back and does not, by itself. `without_order`:
    payments that took money for no order of ours.
    """

    in_review: int
    given_up: int
    without_order: int


async def count_payments_for_a_person(connection: Transaction) -> PaymentsForAPerson:
    row = await connection.fetchrow(_COUNTS)
    assert row is not None
    return PaymentsForAPerson(**dict(row))

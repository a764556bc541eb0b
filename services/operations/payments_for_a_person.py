"""Payments that no rule can settle: what finance has to look at.

Tables, all read only: payments, payment_tasks, payment_facts, orders, and the view refunds_given_up.
"""

from dataclasses import dataclass

from services.common.database import Transaction

_IN_REVIEW = "SELECT count(*) FROM payments WHERE status = 'review'"
_REFUNDS_GIVEN_UP = "SELECT count(*) FROM refunds_given_up"
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
    given_up = [await connection.fetchval(statement) for statement in (_REFUNDS_GIVEN_UP, _VERIFICATIONS_GIVEN_UP)]
    return PaymentsForAPerson(
        in_review=await connection.fetchval(_IN_REVIEW),
        given_up=sum(given_up),
        without_order=await connection.fetchval(_WITHOUT_ORDER),
    )

"""What waits in PostgreSQL.

Tables, all read only: outbox, trainer_allocations, student_course_purchases, audit_log, dead_letters, and those of
payments_for_a_person.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.database import Database
from services.operations.dead_letters import topics_made_anew
from services.operations.payments_for_a_person import PaymentsForAPerson, count_payments_for_a_person

_COUNTS = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox_rows,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
          FROM outbox WHERE published_at IS NULL) AS outbox_oldest_s,
       (SELECT coalesce(sum((allocation.reason ->> 'shortfall')::integer), 0)
          FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
         WHERE allocation.status = 'approved' AND allocation.reason ? 'shortfall' AND bought.status = 'active')
           AS shortfall_sessions,
       -- Until the money goes back, as a whole or for what is missing.
       (SELECT count(*)
          FROM audit_log kept JOIN student_course_purchases bought ON bought.order_id = kept.target
         WHERE kept.action = 'purchase.expired_unserved' AND kept.at > now() - interval '30 days'
           AND bought.status = 'expired' AND sessions_missing(bought) > 0) AS expired_unserved,
       waiting.pending_allocations, waiting.pending_oldest_s
  FROM (SELECT count(*) AS pending_allocations,
               coalesce(extract(epoch FROM clock_timestamp() - min(allocation.created_at)), 0)::float8
                   AS pending_oldest_s
          FROM trainer_allocations allocation JOIN student_course_purchases bought ON bought.id = allocation.purchase_id
         -- Nobody can help a frozen one: it waits for its dispute.
         WHERE allocation.status = 'pending' AND bought.status = 'active') AS waiting
"""
_UNRESOLVED = "SELECT worker, count(*) AS letters FROM dead_letters WHERE status = 'unresolved' GROUP BY worker"
# Bounded: each is a series of its own.
_CAUSES = """
SELECT worker, error_class, count(*) AS letters FROM dead_letters
 WHERE status = 'unresolved' GROUP BY worker, error_class ORDER BY letters DESC, worker, error_class LIMIT 30
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """`outbox_oldest_s`: age of the oldest event that is not in Kafka, `pending_oldest_s` of the oldest purchase that
    waits for a person; 0: none waits. `shortfall_sessions`: paid and without a date. `expired_unserved`: purchases that
    ended with such sessions. `unresolved`: worker -> dead letters that still matter, a worker without any is missing;
    `causes`: the same by (worker, error class), the most frequent ones. `made_anew`: dead-letter topics that
    are not the ones that were indexed.
    """

    outbox_rows: int
    outbox_oldest_s: float
    pending_allocations: int
    pending_oldest_s: float
    shortfall_sessions: int
    expired_unserved: int
    unresolved: Mapping[str, int]
    causes: Mapping[tuple[str, str], int]
    made_anew: frozenset[str]
    payments: PaymentsForAPerson


async def count_stock(database: Database) -> Stock:
    """Raises RecordError kinds."""
    async with database.connection() as connection:
        counts = await connection.fetchrow(_COUNTS)
        letters = await connection.fetch(_UNRESOLVED)
        causes = await connection.fetch(_CAUSES)
        made_anew = await topics_made_anew(connection)
        payments = await count_payments_for_a_person(connection)
    assert counts is not None
    return Stock(
        outbox_rows=counts["outbox_rows"],
        # The clocks of two connections may differ by a moment.
        outbox_oldest_s=max(0.0, counts["outbox_oldest_s"]),
        pending_allocations=counts["pending_allocations"],
        pending_oldest_s=max(0.0, counts["pending_oldest_s"]),
        shortfall_sessions=counts["shortfall_sessions"],
        expired_unserved=counts["expired_unserved"],
        unresolved={row["worker"]: row["letters"] for row in letters},
        causes={(row["worker"], row["error_class"]): row["letters"] for row in causes},
        made_anew=made_anew,
        payments=payments,
    )

"""What the books say about a payment, without adding to them.

Tables, all read only: orders, payments, payment_facts.
"""

from collections.abc import Sequence
from dataclasses import replace

from services.common.database import Row, Transaction
from services.gateway_api.payments.rows import Recorded, Told, fact_of
from services.gateway_api.payments.state import Fact
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.meanings import Meaning

_FIND = """
SELECT orders.order_id, orders.student_id, orders.course_id, payments.status, payments.payment_id AS accepted,
       payments.confirmed_at
  FROM orders JOIN payments ON payments.order_id = orders.order_id
 WHERE orders.provider = $1 AND orders.provider_order_id = $2
"""
# A body is stored once, so that it tells whether its commit took place.
_READ_BACK = """
SELECT told.position, orders.order_id, orders.student_id, orders.course_id,
       COALESCE(payments.status, 'created') AS status, payments.payment_id AS accepted, payments.confirmed_at
  FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS told (provider, body_sha256, position)
  JOIN payment_facts fact ON fact.provider = told.provider AND fact.body_sha256 = told.body_sha256
  LEFT JOIN orders ON orders.order_id = fact.order_id
  LEFT JOIN payments ON payments.order_id = fact.order_id
"""
# As the writer sees them: a fact that came before its order was known belongs to it.
_FACTS = """
SELECT fact.id, fact.payment_id, fact.entity_id, fact.status, fact.source, fact.amount_minor, fact.cumulative,
       fact.currency
  FROM payment_facts fact WHERE fact.order_id = $1
UNION ALL
SELECT fact.id, fact.payment_id, fact.entity_id, fact.status, fact.source, fact.amount_minor, fact.cumulative,
       fact.currency
  FROM payment_facts fact JOIN orders ON orders.provider = fact.provider
       AND orders.provider_order_id = fact.provider_order_id
 WHERE fact.order_id IS NULL AND orders.order_id = $1
 ORDER BY id
"""
# What the provider itself has said about a payment comes before what was accepted on a signature.
_OF_PAYMENT = """
SELECT wanted.payment_id, COALESCE(
           (SELECT fact.provider_order_id FROM payment_facts fact
             WHERE fact.provider = wanted.provider AND fact.entity_id = wanted.payment_id AND fact.status = ANY ($3)
               AND fact.provider_order_id IS NOT NULL ORDER BY fact.id DESC LIMIT 1),
           (SELECT orders.provider_order_id FROM payments JOIN orders ON orders.order_id = payments.order_id
             WHERE payments.provider = wanted.provider AND payments.payment_id = wanted.payment_id)
       ) AS provider_order_id
  FROM unnest($1::text[], $2::text[]) AS wanted (provider, payment_id)
"""
_PAYING = """
SELECT payments.provider, payments.payment_id, payments.order_id
  FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS told (provider, payment_id)) AS wanted
  JOIN payments ON payments.provider = wanted.provider AND payments.payment_id = wanted.payment_id
"""
_SAID_BY_PROVIDER = [Meaning.CAPTURED, Meaning.AUTHORIZED]


async def with_orders(transaction: Transaction, told: Sequence[Told]) -> Sequence[Told]:
    """A provider may leave out the order of a refund or dispute; its payment names it."""
    wanted = [one.fact for one in told if one.fact.provider_order_id is None and one.fact.payment_id is not None]
    if not wanted:
        return told
    rows = await transaction.fetch(
        _OF_PAYMENT, [fact.provider for fact in wanted], [fact.payment_id for fact in wanted], _SAID_BY_PROVIDER
    )
    known = {row["payment_id"]: row["provider_order_id"] for row in rows}
    return [
        replace(one, fact=replace(one.fact, provider_order_id=known.get(one.fact.payment_id)))
        if one.fact in wanted
        else one
        for one in told
    ]


async def read_paying(transaction: Transaction, facts: Sequence[Row]) -> list[Row]:
    """Those of the payments that `facts` are about which pay an order: provider, payment_id, order_id."""
    about = [row for row in facts if row["payment_id"] is not None]
    if not about:
        return []
    rows: list[Row] = await transaction.fetch(
        _PAYING, [row["provider"] for row in about], [row["payment_id"] for row in about]
    )
    return rows


async def read_facts(connection: Transaction, order_id: str) -> list[Fact]:
    """All of an order, oldest first."""
    return [fact_of(row) for row in await connection.fetch(_FACTS, order_id)]


async def find(connection: Transaction, provider: str, provider_order_id: str) -> Recorded | None:
    """None: nobody's order."""
    row = await connection.fetchrow(_FIND, provider, provider_order_id)
    return Recorded(new=False, **dict(row)) if row is not None else None


async def read_back(connection: Transaction, facts: Sequence[VerifiedPayment]) -> list[Recorded | None]:
    """One for each of `facts`; None for one that is not stored. Who stored it cannot be told, so none is `new`."""
    rows = await connection.fetch(_READ_BACK, [fact.provider for fact in facts], [fact.body_sha256 for fact in facts])
    found = {row["position"]: row for row in rows}
    return [
        Recorded(
            order_id=row["order_id"],
            new=False,
            student_id=row["student_id"],
            course_id=row["course_id"],
            status=row["status"],
            accepted=row["accepted"],
            confirmed_at=row["confirmed_at"],
            # Perhaps it did; looking is harmless.
            wrote_event=True,
        )
        if (row := found.get(position)) is not None
        else None
        for position in range(1, len(facts) + 1)
    ]

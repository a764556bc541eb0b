"""The decisions about allocations, each one call of a server-side function: nothing is decided in Python.

Tables: none by itself; the functions of sql/ write trainer_allocations, tutoring_sessions, trainers, trainer_offers.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.common.database import Transaction

# A row of the type assignment_decision.
Decision = Mapping[str, Any]
# `decided_by` of what no person decided.
AUTOMATIC = "auto"
_ASSIGN = "SELECT * FROM assign_trainer($1, $2)"
_ADJUST = "SELECT * FROM adjust_allocation($1)"
_DEPART = "SELECT * FROM depart_next($1, $2)"
_MAKE_UP = "SELECT * FROM make_up_shortfall($1)"


async def assign(transaction: Transaction, purchase_id: UUID) -> Decision:
    """`result`: ok, pending, duplicate, inactive (of the purchase) or missing (no such purchase)."""
    return await _decide(transaction, _ASSIGN, purchase_id, AUTOMATIC)


async def adjust(transaction: Transaction, purchase_id: UUID) -> Decision:
    """Makes sessions and allocation what the purchase is now. `result`: ok, pending, duplicate or missing."""
    return await _decide(transaction, _ADJUST, purchase_id)


async def depart_next(transaction: Transaction, departure_id: UUID, purchase_id: UUID) -> Decision:
    """Gives a purchase of a trainer who leaves to another. `result`: ok, pending, inactive (it needs nobody) or
    duplicate: it is not that trainer's any more.
    """
    return await _decide(transaction, _DEPART, departure_id, purchase_id)


async def make_up_shortfall(transaction: Transaction, purchase_id: UUID) -> Decision:
    """Books sessions that found no date before. `result`: None (with the trainer as before: nothing to tell), or ok or
    pending when that trainer has left.
    """
    return await _decide(transaction, _MAKE_UP, purchase_id)


async def _decide(transaction: Transaction, query: str, *arguments: object) -> Decision:
    decision = await transaction.fetchrow(query, *arguments)
    assert decision is not None
    return dict(decision)

"""The purchase handlers as the engine calls them: one transaction per call, committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.common.database import Database, Row
from services.common.events import Event, PaymentAdjusted, PaymentSucceeded
from services.engine.outcomes import Dead, Done, Outcome
from services.purchase_worker.handler import PurchaseHandler


@dataclass(frozen=True, slots=True)
class PurchaseDesk:
    database: Database
    handler: PurchaseHandler

    async def pay(self, *payments: PaymentSucceeded) -> list[Done]:
        async with self.database.transaction() as transaction:
            return _done(await self.handler.payments_succeeded(payments, transaction))

    async def adjust(self, *adjustments: PaymentAdjusted) -> list[Done]:
        async with self.database.transaction() as transaction:
            return _done(await self.handler.payments_adjusted(adjustments, transaction))

    async def adjust_in_vain(self, *adjustments: PaymentAdjusted) -> list[Dead]:
        async with self.database.transaction() as transaction:
            outcomes = await self.handler.payments_adjusted(adjustments, transaction)
        dead = [outcome for outcome in outcomes if isinstance(outcome, Dead)]
        assert len(dead) == len(outcomes)
        return dead

    async def purchases(self) -> list[Row]:
        async with self.database.connection() as connection:
            rows: list[Row] = await connection.fetch("SELECT * FROM student_course_purchases ORDER BY order_id")
            return rows

    async def purchase(self) -> Row:
        (row,) = await self.purchases()
        return row


def results(outcomes: Sequence[Done]) -> list[str]:
    return [outcome.result for outcome in outcomes]


def emitted(outcomes: Sequence[Done], kind: type[Any]) -> list[Event]:
    return [event for outcome in outcomes for event in outcome.emit if isinstance(event, kind)]


def _done(outcomes: Sequence[Outcome]) -> list[Done]:
    done = [outcome for outcome in outcomes if isinstance(outcome, Done)]
    assert len(done) == len(outcomes), outcomes
    return done

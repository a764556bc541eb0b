"""Works through payment_tasks: verifies, reconciles, refunds. Whatever the provider says goes through the same
recording as its webhooks, so that a task decides nothing by itself.

Tables: payments, payment_facts (read); payment_tasks through task_queue.py.
"""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import uuid4

import structlog

from services.common.database import Row
from services.common.errors import RecordError
from services.common.telemetry.traces import span
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import (
    REFUND_KEY_S,
    REFUNDS_FAILED_MAX,
    TASK_AGAIN_MAX_S,
    TASK_AGAIN_S,
    TASK_ATTEMPTS_MAX,
    TASK_CALL_S,
    TASK_LEASE_S,
    TASKS_MAX,
    TASKS_POLL_S,
)
from services.gateway_api.payments.reads import read_facts
from services.gateway_api.payments.recording import Recorder, open_recorder
from services.gateway_api.payments.state import Price, left_of
from services.gateway_api.payments.task_queue import Task, claim_tasks, finish_task, postpone_task
from services.gateway_api.providers import Provider
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.verified import as_about_order, is_of_order, is_unknown, never_captured
from services.gateway_api.web.problems import Problem

log = structlog.get_logger()
_STATE = """
SELECT payment_id, confirmed_at IS NOT NULL AS paid, amount_minor, currency,
       EXISTS (SELECT FROM payment_facts fact
                WHERE fact.order_id = payments.order_id AND fact.payment_id = payments.payment_id
                  AND fact.status = $2) AS captured,
       (SELECT count(DISTINCT entity_id) FROM payment_facts fact
         WHERE fact.order_id = payments.order_id AND fact.payment_id = $4 AND fact.status = $3) AS failures
  FROM payments WHERE order_id = $1
"""


async def run_payment_tasks(dependencies: Dependencies, drained: asyncio.Event) -> None:
    """Until `drained`. Any number of gateways share the work; what one leaves undone another claims later."""
    worker = _Worker(dependencies, open_recorder(dependencies))
    while not drained.is_set():
        try:
            busy = await worker.work()
        except RecordError as error:
            log.warning("payment_tasks_interrupted", error_class=error.cause_class, error=str(error))
            busy = False
        if not busy:
            await _pause(drained)


class _Worker:
    def __init__(self, dependencies: Dependencies, recorder: Recorder) -> None:
        self._database = dependencies.database
        self._providers = dependencies.providers
        self._delays_s = dependencies.settings.reconcile_delays_s
        self._recorder = recorder

    async def work(self) -> bool:
        """Whether there may be more at once."""
        lease = timedelta(seconds=TASK_LEASE_S)
        tasks = await claim_tasks(self._database, uuid4(), lease=lease, count=TASKS_MAX)
        await asyncio.gather(*(self._perform(task) for task in tasks))
        return len(tasks) == TASKS_MAX

    async def _perform(self, task: Task) -> None:
        """Never raises for one task's sake: its row is due again."""
        with span(f"payment task {task.kind}", orderId=task.order_id):
            try:
                async with asyncio.timeout(TASK_LEASE_S / 2):
                    await self._perform_kind(task)
            except (RecordError, Problem, TimeoutError) as error:
                log.warning("payment_task_failed", orderId=task.order_id, reason=task.kind, error=str(error))
                await self._again(task, error=str(error) or type(error).__name__)

    async def _perform_kind(self, task: Task) -> None:
        provider = self._providers.get(task.provider)
        if provider is None:
            await self._again(task, error="the provider is switched off")
            return
        async with self._database.connection() as connection:
            state = await connection.fetchrow(
                _STATE, task.order_id, Meaning.CAPTURED, Meaning.REFUND_FAILED, task.payment_id
            )
        assert state is not None
        match task.kind:
            case "verify":
                await self._verify(task, provider, state)
            case "reconcile":
                await self._reconcile(task, provider, state)
            case "refund":
                await self._refund(task, provider, state)
            case _:
                assert_never(task.kind)

    async def _verify(self, task: Task, provider: Provider, state: Row) -> None:
        if state["captured"]:
            # The provider has said by itself what it would be asked, and the state follows from it.
            await finish_task(self._database, task)
            return
        fact = await provider.fetch_payment(state["payment_id"], within_s=TASK_CALL_S)
        if not is_of_order(fact, task.provider_order_id):
            log.error("payment_of_another_order", orderId=task.order_id, paymentId=fact.payment_id)
        fact = as_about_order(fact, task.provider_order_id)
        await self._recorder.record(fact)
        if fact.meaning in {Meaning.CAPTURED, Meaning.FAILED}:
            await finish_task(self._database, task)
            return
        if task.attempts >= TASK_ATTEMPTS_MAX:
            # Nothing was taken for what was bought: that is a person's from now on, unless it is captured after all.
            await self._recorder.record(never_captured(fact))
        await self._again(task, error=f"still {fact.meaning}")

    async def _reconcile(self, task: Task, provider: Provider, state: Row) -> None:
        paid = bool(state["paid"])
        if not paid:
            for fact in await provider.fetch_order(task.provider_order_id, within_s=TASK_CALL_S):
                recorded = await self._recorder.record(fact)
                paid = paid or recorded.accepted is not None
        # Counted from the order, whatever came in between: a provider that was away uses up none of them.
        age_s = (datetime.now(UTC) - task.created_at).total_seconds()
        left_s = [delay_s - age_s for delay_s in self._delays_s if delay_s > age_s]
        if paid or not left_s:
            await finish_task(self._database, task)
        else:
            await postpone_task(self._database, task, due_in=_jittered(left_s[0]))

    async def _refund(self, task: Task, provider: Provider, state: Row) -> None:
        """Providers often send a payment beside the accepted one back by themselves."""
        fact = await provider.fetch_payment(task.payment_id, within_s=TASK_CALL_S)
        if not is_of_order(fact, task.provider_order_id):
            await self._recorder.record(as_about_order(fact, task.provider_order_id))
            log.error("payment_task_given_up", orderId=task.order_id, reason=task.kind, error="another order's payment")
            await finish_task(self._database, task, error="the payment is another order's and stays there")
            return
        await self._recorder.record(fact)
        amount_minor = await self._to_send(task, state)
        if is_unknown(fact):
            # Only a payment with a success is owed: rather we ask another account than that there was no money.
            await self._again(task, error="the provider does not know the payment")
        elif (
            amount_minor == 0
            or fact.meaning is Meaning.FAILED
            or (fact.cumulative or 0) >= (fact.amount_minor or 0) > 0
        ):
            await finish_task(self._database, task)
        elif _may_be_made_twice(task):
            await self._give_up(task, error="too old to repeat: a person must compare")
        elif state["failures"] >= REFUNDS_FAILED_MAX and not task.is_by_staff:
            await self._give_up(task, error=f"{state['failures']} refunds failed: a person must find another way")
        elif fact.meaning is Meaning.CAPTURED:
            refund = await provider.refund(
                task.payment_id, amount_minor=amount_minor, key=str(task.id), within_s=TASK_CALL_S
            )
            log.info("refund_sent" if refund else "refund_not_needed", orderId=task.order_id, paymentId=task.payment_id)
            if refund is not None:
                # A provider that names no order with a refund was asked about one of ours.
                known = replace(refund, provider_order_id=refund.provider_order_id or task.provider_order_id)
                await self._recorder.record(known)
            await finish_task(self._database, task)
        else:
            await self._again(task, error=f"still {fact.meaning}")

    async def _to_send(self, task: Task, state: Row) -> int | None:
        """None: all that the provider has left. That would be too much of a payment of which staff have sent something
        back past it.
        """
        async with self._database.connection() as connection:
            facts = await read_facts(connection, task.order_id)
        if not any(fact.meaning is Meaning.SETTLED and fact.payment_id == task.payment_id for fact in facts):
            return task.amount_minor
        price = Price(amount_minor=state["amount_minor"], currency=state["currency"])
        left_minor = left_of(price, facts, task.payment_id).amount_minor
        return min(task.amount_minor or left_minor, left_minor)

    async def _again(self, task: Task, *, error: str) -> None:
        if task.attempts >= TASK_ATTEMPTS_MAX:
            await self._give_up(task, error=error)
            return
        wait_s = min(TASK_AGAIN_S * 2 ** min(task.attempts - 1, 10), TASK_AGAIN_MAX_S)
        await postpone_task(self._database, task, due_in=_jittered(wait_s), error=error)

    async def _give_up(self, task: Task, *, error: str) -> None:
        log.error("payment_task_given_up", orderId=task.order_id, reason=task.kind, error=error)
        await finish_task(self._database, task, error=error)


def _may_be_made_twice(task: Task) -> bool:
    """A provider forgets idempotency keys after a day. All that is left can go back once only; a part could twice."""
    age = datetime.now(UTC) - task.created_at
    return task.amount_minor is not None and task.attempts > 1 and age > timedelta(seconds=REFUND_KEY_S)


def _jittered(seconds: float) -> timedelta:
    return timedelta(seconds=seconds * random.uniform(1.0, 1.1))  # noqa: S311 - no secret


async def _pause(drained: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(TASKS_POLL_S * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
            await drained.wait()
    except TimeoutError:
        return

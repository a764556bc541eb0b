"""What staff decide about allocations: try again, approve, allocate, move to another trainer.

Each decision is one transaction: the server-side function, the audit row, the event in the outbox.
Tables: none by itself; assignments.py calls the functions.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from services.common.database import Transaction
from services.common.outbox import add_event
from services.common.telemetry import current_traceparent
from services.gateway_api import assignments, audit
from services.gateway_api.admin_bodies import AllocateBody, ApproveBody, ReassignBody, RetryBody
from services.gateway_api.answers import AllocationAnswer
from services.gateway_api.assignments import Decision
from services.gateway_api.auth import caller_of, not_found
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.idempotency import once
from services.gateway_api.problems import Problem
from services.gateway_api.reading import parse, read_json, read_optional_json, uuid_from
from services.gateway_api.request_log import note


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """`status` of the answer when it is done."""

    action: str
    reason: str | None
    status: int
    decide: Callable[[Transaction], Awaitable[Decision]]


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def retry(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(RetryBody, payload)

        async def decide(transaction: Transaction) -> Decision:
            purchase_id = await _purchase(transaction, body)
            return await assignments.assign(transaction, purchase_id, decided_by=caller_of(request).subject)

        command = _Command(action="allocation.retry", reason=body.reason, status=200, decide=decide)
        return await _run(dependencies, request, payload, command)

    async def approve(request: web.Request) -> web.Response:
        allocation_id = uuid_from(request.match_info["allocationId"])
        payload = await read_optional_json(request)
        body = parse(ApproveBody, payload)

        async def decide(transaction: Transaction) -> Decision:
            decided_by = caller_of(request).subject
            decision = await assignments.approve(
                transaction, allocation_id, trainer_id=body.trainer_id, decided_by=decided_by
            )
            if decision is None:
                raise not_found()
            return decision

        command = _Command(action="allocation.approve", reason=body.reason, status=200, decide=decide)
        return await _run(dependencies, request, payload, command)

    async def allocate(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(AllocateBody, payload)

        async def decide(transaction: Transaction) -> Decision:
            purchase_id = await _purchase(transaction, body)
            decided_by = caller_of(request).subject
            return await assignments.allocate(
                transaction, purchase_id, trainer_id=body.trainer_id, decided_by=decided_by
            )

        command = _Command(action="allocation.allocate", reason=body.reason, status=201, decide=decide)
        return await _run(dependencies, request, payload, command)

    async def reassign(request: web.Request) -> web.Response:
        allocation_id = uuid_from(request.match_info["allocationId"])
        payload = await read_json(request)
        body = parse(ReassignBody, payload)

        async def decide(transaction: Transaction) -> Decision:
            decided_by = caller_of(request).subject
            return await assignments.move(transaction, allocation_id, trainer_id=body.trainer_id, decided_by=decided_by)

        command = _Command(action="allocation.reassign", reason=body.reason, status=200, decide=decide)
        return await _run(dependencies, request, payload, command)

    return [
        web.post("/api/v1/admin/allocations/retry-auto-assign", retry),
        web.post("/api/v1/admin/allocations/{allocationId}/approve", approve),
        web.post("/api/v1/admin/allocations/allocate", allocate),
        web.post("/api/v1/admin/allocations/{allocationId}/reassign", reassign),
    ]


async def _run(dependencies: Dependencies, request: web.Request, payload: object, command: _Command) -> web.Response:
    async with once(dependencies.database, request, payload, required=False) as claim:
        if claim.stored is not None:
            return claim.stored
        async with dependencies.database.transaction() as transaction:
            decision = await command.decide(transaction)
            _require_done(decision)
            if decision.is_new:
                event = assignments.event_of(decision)
                await add_event(transaction, event, dependencies.codec, traceparent=current_traceparent())
            await _audit(transaction, request, decision, command)
            response = await claim.finish(transaction, _told(decision), status=command.status)
    dependencies.outbox_written.set()
    return response


async def _audit(transaction: Transaction, request: web.Request, decision: Decision, command: _Command) -> None:
    note(
        request,
        allocationId=str(decision.allocation_id),
        purchaseId=str(decision.purchase_id),
        orderId=decision.order_id,
        trainerId=decision.trainer_id,
        outcome=decision.result,
    )
    await audit.record(
        transaction,
        request,
        action=command.action,
        target=str(decision.allocation_id),
        reason=command.reason,
        before=None,
        after=_told(decision).model_dump(mode="json"),
    )


async def _purchase(transaction: Transaction, body: RetryBody) -> UUID:
    purchase_id = await assignments.purchase_of(transaction, body.student_id, body.course_id)
    if purchase_id is None:
        raise not_found()
    return purchase_id


def _require_done(decision: Decision) -> None:
    """Raises Problem 409 for what the function refused."""
    match decision.result:
        case "decided":
            raise Problem(
                "already-decided",
                409,
                "Someone else decided first",
                allocationStatus=decision.status,
                decidedBy=decision.decided_by,
                trainerId=decision.trainer_id,
            )
        case "inactive":
            raise Problem(
                "no-trainer-needed", 409, "The purchase needs no trainer", purchaseId=str(decision.purchase_id)
            )
        case "conflict":
            raise Problem(
                "schedule-conflict", 409, "There are other sessions at that time", conflicts=decision.conflicts
            )
        case "missing":
            raise not_found()
        case "refused":
            raise Problem("trainer-does-not-fit", 409, "The trainer fails a hard filter", reason=decision.reason)
        case _:
            return


def _told(decision: Decision) -> AllocationAnswer:
    return AllocationAnswer(
        allocation_id=decision.allocation_id,
        status=decision.status,
        trainer_id=decision.trainer_id,
        reason=decision.reason,
    )

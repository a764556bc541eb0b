"""What staff decide about allocations: try again, approve, allocate, move to another trainer.

Each decision is one transaction: the server-side function, the audit row, the event in the outbox.
Tables: none by itself; assignments.py calls the functions.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from aiohttp import web

from services.common.database import Transaction
from services.common.outbox import add_event
from services.common.telemetry.traces import current_traceparent
from services.gateway_api.admin import assignments
from services.gateway_api.admin.assignments import Decision
from services.gateway_api.bodies.admin import AllocateBody, ApproveBody, ReassignBody, RetryBody
from services.gateway_api.bodies.answers import AllocationAnswer
from services.gateway_api.callers import audit
from services.gateway_api.callers.auth import caller_of
from services.gateway_api.callers.idempotency import once
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.web.problems import Problem, not_found
from services.gateway_api.web.reading import parse, read_json, read_optional_json, uuid_from
from services.gateway_api.web.request_log import note


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """`purchase`: the one that `decide` is about; None: there is none. `status` of the answer when it is done."""

    action: str
    reason: str | None
    status: int
    purchase: Callable[[Transaction], Awaitable[UUID | None]]
    decide: Callable[[Transaction, UUID], Awaitable[Decision | None]]


def routes(dependencies: Dependencies) -> list[web.RouteDef]:
    async def retry(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(RetryBody, payload)
        command = _Command(
            action="allocation.retry",
            reason=body.reason,
            status=200,
            purchase=partial(assignments.purchase_of, student_id=body.student_id, course_id=body.course_id),
            decide=partial(assignments.assign, decided_by=caller_of(request).subject),
        )
        return await _run(dependencies, request, payload, command)

    async def approve(request: web.Request) -> web.Response:
        allocation_id = uuid_from(request.match_info["allocationId"])
        payload = await read_optional_json(request)
        body = parse(ApproveBody, payload)

        async def decide(transaction: Transaction, _purchase_id: UUID) -> Decision | None:
            decided_by = caller_of(request).subject
            return await assignments.approve(
                transaction, allocation_id, trainer_id=body.trainer_id, decided_by=decided_by
            )

        command = _Command(
            action="allocation.approve",
            reason=body.reason,
            status=200,
            purchase=partial(assignments.purchase_with, allocation_id=allocation_id),
            decide=decide,
        )
        return await _run(dependencies, request, payload, command)

    async def allocate(request: web.Request) -> web.Response:
        payload = await read_json(request)
        body = parse(AllocateBody, payload)
        command = _Command(
            action="allocation.allocate",
            reason=body.reason,
            status=201,
            purchase=partial(assignments.purchase_of, student_id=body.student_id, course_id=body.course_id),
            decide=partial(assignments.allocate, trainer_id=body.trainer_id, decided_by=caller_of(request).subject),
        )
        return await _run(dependencies, request, payload, command)

    async def reassign(request: web.Request) -> web.Response:
        allocation_id = uuid_from(request.match_info["allocationId"])
        payload = await read_json(request)
        body = parse(ReassignBody, payload)

        async def decide(transaction: Transaction, _purchase_id: UUID) -> Decision:
            decided_by = caller_of(request).subject
            return await assignments.move(transaction, allocation_id, trainer_id=body.trainer_id, decided_by=decided_by)

        command = _Command(
            action="allocation.reassign",
            reason=body.reason,
            status=200,
            purchase=partial(assignments.purchase_with, allocation_id=allocation_id),
            decide=decide,
        )
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
            purchase_id = await command.purchase(transaction)
            if purchase_id is None:
                raise not_found()
            before = await assignments.standing(transaction, purchase_id)
            decision = await command.decide(transaction, purchase_id)
            if decision is None:
                raise not_found()
            _require_done(decision)
            if decision.is_new:
                event = assignments.event_of(decision)
                await add_event(transaction, event, dependencies.codec, traceparent=current_traceparent())
            await _audit(transaction, request, before, decision, command)
            response = await claim.finish(transaction, _told(decision), status=command.status)
    dependencies.outbox_written.set()
    return response


async def _audit(
    transaction: Transaction,
    request: web.Request,
    before: AllocationAnswer | None,
    decision: Decision,
    command: _Command,
) -> None:
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
        before=None if before is None else before.model_dump(mode="json"),
        after=_told(decision).model_dump(mode="json"),
    )


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

"""The staff's routes, as a part of the table in endpoints.py."""

from collections.abc import Iterator
from dataclasses import replace

from services.gateway_api.admin.departures import DepartureAnswer
from services.gateway_api.admin.given_up import GivenUpPage
from services.gateway_api.admin.reviews import ReviewPage
from services.gateway_api.admin.settlements import SettleAnswer
from services.gateway_api.bodies import answers as told
from services.gateway_api.bodies.admin import (
    AllocateBody,
    ApproveBody,
    DeactivateBody,
    PricesBody,
    ReasonBody,
    ReassignBody,
    RefundBody,
    RescheduleBody,
    ResolveBody,
    RetryBody,
    SettleBody,
    TrainerBody,
)
from services.gateway_api.bodies.trainers import TrainerAnswer
from services.gateway_api.callers.roles import FINANCE, OPS, SUPPORT, TRAINER_OR_SUPPORT
from services.gateway_api.routing.endpoint import KEY, KEY_IF_WANTED, MISTAKES, PAGE, Endpoint, Parameter


def admin_endpoints() -> Iterator[Endpoint]:
    for endpoint in (*_allocations(), *_sessions_and_catalogue(), *_money(), *_outbox()):
        yield endpoint if endpoint.method == "GET" or KEY in endpoint.parameters else _may_be_repeated(endpoint)


def _may_be_repeated(endpoint: Endpoint) -> Endpoint:
    return replace(
        endpoint,
        parameters=(*endpoint.parameters, KEY_IF_WANTED),
        problems=tuple(sorted({*endpoint.problems, 400, 409, 422})),
    )


def _allocations() -> Iterator[Endpoint]:
    allocations = "/api/v1/admin/allocations"
    status = Parameter(name="status", where="query", schema={"type": "string", "enum": ["pending"]}, required=True)
    yield Endpoint(
        method="GET",
        path=allocations,
        summary="Purchases that wait for a person to find a trainer, and why.",
        roles=SUPPORT,
        parameters=(status, *PAGE),
        answers={200: told.AllocationPage},
        problems=(422,),
    )
    yield Endpoint(
        method="POST",
        path=f"{allocations}/retry-auto-assign",
        summary="Try again to find a trainer for a student's oldest purchase without one.",
        roles=SUPPORT,
        body=RetryBody,
        answers={200: told.AllocationAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path=f"{allocations}/{{allocationId}}/approve",
        summary="Approve a pending allocation, optionally with another trainer.",
        roles=SUPPORT,
        body=ApproveBody,
        body_required=False,
        answers={200: told.AllocationAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path=f"{allocations}/{{allocationId}}/reassign",
        summary="Move an approved allocation, with the sessions that have not begun, to a named trainer.",
        roles=SUPPORT,
        body=ReassignBody,
        answers={200: told.AllocationAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path=f"{allocations}/allocate",
        summary="Give a student's purchase to a named trainer.",
        roles=SUPPORT,
        body=AllocateBody,
        answers={201: told.AllocationAnswer},
        problems=(*MISTAKES, 404, 409),
    )


def _sessions_and_catalogue() -> Iterator[Endpoint]:
    for verb in ("complete", "cancel"):
        yield Endpoint(
            method="POST",
            path=f"/api/v1/admin/sessions/{{sessionId}}/{verb}",
            summary=f"{verb.capitalize()} a tutoring session; repeating it changes nothing.",
            roles=TRAINER_OR_SUPPORT,
            body=ReasonBody,
            body_required=False,
            answers={200: told.SessionAnswer},
            problems=(*MISTAKES, 404, 409),
        )
    yield Endpoint(
        method="POST",
        path="/api/v1/admin/sessions/{sessionId}/reschedule",
        summary="Hold a session at another time, with the same trainer; repeating it changes nothing.",
        roles=TRAINER_OR_SUPPORT,
        body=RescheduleBody,
        answers={200: told.RescheduledAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="PUT",
        path="/api/v1/admin/trainers/{trainerId}",
        summary="Create or fully replace a trainer; tells the booked sessions that the definition contradicts.",
        roles=OPS,
        body=TrainerBody,
        answers={200: TrainerAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path="/api/v1/admin/trainers/{trainerId}/deactivate",
        summary="A trainer leaves: their sessions to come go to others, or wait for a person.",
        roles=OPS,
        body=DeactivateBody,
        body_required=False,
        answers={202: DepartureAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="GET",
        path="/api/v1/admin/trainers/{trainerId}/departure",
        summary="How far the sessions of a trainer who leaves are given to others.",
        roles=OPS,
        answers={200: DepartureAnswer},
        problems=(404,),
    )
    yield Endpoint(
        method="PUT",
        path="/api/v1/admin/courses/{courseId}/prices",
        summary="Set the prices of a course; creates the course when unknown.",
        roles=OPS,
        body=PricesBody,
        answers={200: told.PricesAnswer},
        problems=(*MISTAKES, 404),
    )


def _money() -> Iterator[Endpoint]:
    payment = "/api/v1/admin/payments/{orderId}"
    status = Parameter(name="status", where="query", schema={"type": "string", "enum": ["review"]}, required=True)
    yield Endpoint(
        method="GET",
        path="/api/v1/admin/payments",
        summary="Payments in review: what the order asked for, and what was taken.",
        roles=FINANCE,
        parameters=(status, *PAGE),
        answers={200: ReviewPage},
        problems=(422,),
    )
    yield Endpoint(
        method="POST",
        path=f"{payment}/refund",
        summary="Send back what a payment took, or a part of it.",
        roles=FINANCE,
        body=RefundBody,
        parameters=(KEY,),
        answers={202: told.RefundAnswer},
        headers={202: ("Location",)},
        problems=(*MISTAKES, 404, 409),
    )
    given_up = Parameter(name="status", where="query", schema={"type": "string", "enum": ["given_up"]}, required=True)
    yield Endpoint(
        method="GET",
        path="/api/v1/admin/refunds",
        summary="Refunds that were given up or came back: why, and how much is left to go back.",
        roles=FINANCE,
        parameters=(given_up, *PAGE),
        answers={200: GivenUpPage},
        problems=(422,),
    )
    yield Endpoint(
        method="POST",
        path=f"{payment}/settle",
        summary="Record money that went back past the provider, as by a bank transfer; no refund sends it again.",
        roles=FINANCE,
        body=SettleBody,
        parameters=(KEY,),
        answers={200: SettleAnswer},
        problems=(*MISTAKES, 404, 409),
    )
    yield Endpoint(
        method="POST",
        path=f"{payment}/resolve",
        summary="Decide about a payment in review: it pays the order as it is, or it goes back.",
        roles=FINANCE,
        body=ResolveBody,
        answers={200: told.ResolveAnswer},
        problems=(*MISTAKES, 404, 409),
    )


def _outbox() -> Iterator[Endpoint]:
    yield Endpoint(
        method="GET",
        path="/api/v1/admin/outbox",
        summary="Events that Kafka refused, and what waits behind them.",
        roles=OPS,
        parameters=PAGE,
        answers={200: told.BlockedEventPage},
        problems=(422,),
    )
    yield Endpoint(
        method="POST",
        path="/api/v1/admin/outbox/{eventNumber}/publish",
        summary="Try a refused event again now.",
        roles=OPS,
        body=ReasonBody,
        body_required=False,
        answers={200: told.BlockedEventAnswer},
        problems=(*MISTAKES, 404, 409),
    )

"""What each problem's `type` means, served under that URI. A test compares it with every problem in the code."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from services.gateway_api.web.problems import not_found


@dataclass(frozen=True, slots=True)
class ProblemType:
    """`statuses` with which it comes."""

    statuses: tuple[int, ...]
    meaning: str

    @property
    def text(self) -> str:
        known = " or ".join(str(status) for status in self.statuses)
        return f"Status {known}. {self.meaning}" if known else self.meaning


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    "not-found": ProblemType((404,), "No route, or no such thing for you. Another student's data looks like this too."),
    "method-not-allowed": ProblemType((405,), "The path exists, the method does not; see the Allow header."),
    "unauthorized": ProblemType(
        (401,), "No token, or one that is expired, unknown or for someone else's system. Get a new one."
    ),
    "forbidden": ProblemType((403,), "The token is good but its roles do not include one that this route wants."),
    "invalid-signature": ProblemType(
        (400, 401), "The provider's signature does not fit what was sent. Nothing was stored; do not repeat it."
    ),
    "unknown-order": ProblemType((404,), "The signature is good, but no order here has that provider's id."),
    "unknown-provider": ProblemType((404,), "No such payment provider is switched on."),
    "unknown-course": ProblemType((404,), "No course with that id, or no price for that tier of it."),
    "amount-mismatch": ProblemType(
        (),
        "What was paid is not what was asked for. No answer has it at present: it is 202, and a person looks at it.",
    ),
    "order-already-paid": ProblemType((409,), "Another payment has paid this order. The second one will be refunded."),
    "not-in-review": ProblemType((409,), "Only a payment in review can be resolved; `paymentStatus` says what it is."),
    "payment-of-another-order": ProblemType(
        (409,), "A payment pays one order. Only if it is this one's at the provider can it go back from here."
    ),
    "not-refundable": ProblemType(
        (409,), "There is nothing to send back, or less than asked for; `leftMinor` says how much there is."
    ),
    "refund-running": ProblemType(
        (409,), "Another refund of this order has not reached the provider. Repeat it a little later."
    ),
    "transfer-already-recorded": ProblemType(
        (409,), "Money with this `reference` went back for this payment already. Look at its state before you go on."
    ),
    "idempotency-key-missing": ProblemType((400,), "Send an Idempotency-Key header of 1 to 255 characters."),
    "idempotency-key-reused": ProblemType(
        (422,), "This key came before with another payload. Use a new key for a new request."
    ),
    "idempotency-key-running": ProblemType(
        (409,), "The first request with this key has not finished. Repeat it a little later."
    ),
    "invalid-request": ProblemType((422,), "Well-formed, but a value is out of its bounds; `errors` names each field."),
    "unreadable-json": ProblemType(
        (400,), "Not JSON that every parser reads alike: duplicate keys, NaN, broken UTF-8, deep nesting."
    ),
    "unsupported-media-type": ProblemType((415,), "Send application/json without Content-Encoding."),
    "payload-too-large": ProblemType((413,), "The body is above the limit of this route."),
    "slow-body": ProblemType((408,), "The body did not arrive in time. Repeat the request."),
    "bad-request": ProblemType((400, 417), "The request cannot be understood."),
    "rate-limited": ProblemType(
        (429,), "Too many requests; wait as long as Retry-After says. Valid signatures are never limited."
    ),
    "dependency-unavailable": ProblemType(
        (503,), "A part that the request needs is away. Nothing was lost; repeat it after Retry-After."
    ),
    "overloaded": ProblemType((503,), "More requests than the gateway takes at once. Repeat it after Retry-After."),
    "already-decided": ProblemType(
        (409,), "Someone else decided first; `decidedBy` and `allocationStatus` say what is there now."
    ),
    "no-trainer-needed": ProblemType(
        (409,), "The purchase lacks no session, or is not active: there is nothing to find a trainer for."
    ),
    "trainer-does-not-fit": ProblemType((409,), "The trainer fails a hard filter; `reason` names it."),
    "session-conflict": ProblemType((409,), "The session is in a state, or at a time, in which this cannot be done."),
    "schedule-conflict": ProblemType(
        (409,), "The trainer or the student has other sessions then; `conflicts` lists them."
    ),
    "gone": ProblemType(
        (410,), "This route is gone for good. Its successor is in the Link header; do not repeat the call."
    ),
    "internal-error": ProblemType((500,), "A mistake of ours. It is logged under the id in `instance`."),
}


def routes() -> list[web.RouteDef]:
    async def explain(request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        if slug not in PROBLEM_TYPES:
            raise not_found()
        return web.Response(text=f"{slug}\n\n{PROBLEM_TYPES[slug].text}\n", headers={"Cache-Control": "max-age=3600"})

    return [web.get("/problems/{slug}", explain, allow_head=True)]

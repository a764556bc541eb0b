"""What each problem's `type` means, served under that URI. A test finds every slug that the code uses here."""

from collections.abc import Mapping

from aiohttp import web

from services.gateway_api.auth import not_found

PROBLEM_TYPES: Mapping[str, str] = {
    "not-found": "No route, or no such thing for you. Another student's data looks like this too.",
    "method-not-allowed": "The path exists, the method does not; see the Allow header.",
    "unauthorized": "No token, or one that is expired, unknown or for someone else's system. Get a new one.",
    "forbidden": "The token is good but its roles do not include one that this route wants.",
    "invalid-signature": "The provider's signature does not fit what was sent. Nothing was stored; do not repeat it.",
    "unknown-order": "The signature is good, but no order here has that provider's id.",
    "unknown-provider": "No such payment provider is switched on.",
    "unknown-course": "No course with that id, or no price for that tier of it.",
    "amount-mismatch": "The amount or currency paid is not the order's. A person looks at it.",
    "order-already-paid": "Another payment has paid this order. The second one will be refunded.",
    "not-in-review": "Only a payment in review can be resolved; `paymentStatus` says what it is.",
    "not-refundable": "There is nothing to send back, or less than asked for; `leftMinor` says how much there is.",
    "refund-running": "Another refund of this order has not reached the provider. Repeat it a little later.",
    "idempotency-key-missing": "Send an Idempotency-Key header of 1 to 255 characters.",
    "idempotency-key-reused": "This key came before with another payload. Use a new key for a new request.",
    "idempotency-key-running": "The first request with this key has not finished. Repeat it a little later.",
    "invalid-request": "Well-formed, but a value is out of its bounds; `errors` names each field.",
    "unreadable-json": "Not JSON that every parser reads alike: duplicate keys, NaN, broken UTF-8, deep nesting.",
    "unsupported-media-type": "Send application/json without Content-Encoding.",
    "payload-too-large": "The body is above the limit of this route.",
    "slow-body": "The body did not arrive in time. Repeat the request.",
    "bad-request": "The request cannot be understood.",
    "rate-limited": "Too many requests; wait as long as Retry-After says. Valid signatures are never limited.",
    "dependency-unavailable": "A part that the request needs is away. Nothing was lost; repeat it after Retry-After.",
    "overloaded": "More requests than the gateway takes at once. Repeat it after Retry-After.",
    "already-decided": "Someone else decided first; `decidedBy` and `allocationStatus` say what is there now.",
    "trainer-does-not-fit": "The trainer fails a hard filter; `reason` names it.",
    "session-conflict": "The session is in a state, or at a time, in which this cannot be done.",
    "schedule-conflict": "The trainer or the student has other sessions then; `conflicts` lists them.",
    "gone": "This route is gone for good. Its successor is in the Link header; do not repeat the call.",
    "internal-error": "A mistake of ours. It is logged under the id in `instance`.",
}


def routes() -> list[web.RouteDef]:
    async def explain(request: web.Request) -> web.Response:
        slug = request.match_info["slug"]
        if slug not in PROBLEM_TYPES:
            raise not_found()
        return web.Response(text=f"{slug}\n\n{PROBLEM_TYPES[slug]}\n", headers={"Cache-Control": "max-age=3600"})

    return [web.get("/problems/{slug}", explain, allow_head=True)]

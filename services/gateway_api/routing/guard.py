"""Before any handler runs: Content-Encoding, token, role, rate limit, body size and time, all from endpoints.py."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from services.gateway_api.callers.addresses import AddressOf
from services.gateway_api.callers.auth import Authenticator, Caller, is_looked_up, remember_caller
from services.gateway_api.callers.ratelimits import RateLimits
from services.gateway_api.limits import BODY_READ_S
from services.gateway_api.routing.endpoint import Endpoint
from services.gateway_api.routing.endpoints import endpoint_of
from services.gateway_api.web.middlewares import Handler
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import read_body, refuse_encoded_body


def guarding(
    authenticator: Authenticator, rate_limits: RateLimits, *, address_of: AddressOf, body_read_s: float = BODY_READ_S
) -> Middleware:
    """A handler behind it may call request.read() freely: the body is there, whole and within its limit."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        endpoint = endpoint_of(request)
        if endpoint is None:
            return await handler(request)
        if endpoint.reads_body:
            refuse_encoded_body(request)
        if endpoint.roles:
            caller = await _identify(request, authenticator, rate_limits, address_of)
            rate_limits.count_request(caller.subject)
            _require_role(caller, endpoint)
            remember_caller(request, caller)
        if endpoint.reads_body:
            await read_body(request, endpoint.body_bytes_max, within_s=body_read_s)
        try:
            return await handler(request)
        except Problem as problem:
            if problem.slug == "invalid-signature":
                rate_limits.count_bad_signature(address_of(request))
            raise

    return guard


async def _identify(
    request: web.Request, authenticator: Authenticator, rate_limits: RateLimits, address_of: AddressOf
) -> Caller:
    """A machine's key is looked up in the database, so that an address that guesses is refused before. Many may share
    it: whoever works with a good key must not wait for those who guess beside it.
    """
    looked_up = is_looked_up(request)
    if looked_up and not authenticator.was_good_lately(request):
        rate_limits.refuse_guessing(address_of(request))
    try:
        return await authenticator.identify(request)
    except Problem as problem:
        if problem.status == 401 and hdrs.AUTHORIZATION in request.headers:
            count = rate_limits.count_bad_key if looked_up else rate_limits.count_bad_token
            count(address_of(request))
        raise


def _require_role(caller: Caller, endpoint: Endpoint) -> None:
    if caller.roles.isdisjoint(endpoint.roles):
        wanted = ", ".join(sorted(endpoint.roles))
        raise Problem("forbidden", 403, "The token's roles do not allow this", f"One of: {wanted}.")

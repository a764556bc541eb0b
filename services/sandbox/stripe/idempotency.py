"""Idempotency-Key as Stripe means it: the first answer again, whatever it was; an error for another body."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import ValidationError

from services.sandbox.failures import Handler
from services.sandbox.limits import ORDERS_MAX
from services.sandbox.stripe.intents import Json

Form = dict[str, str]
Answer = tuple[int, Json]
Post = Callable[[Form], Awaitable[Answer]]


class Answered:
    """The answers of one account by key; the oldest are forgotten above a limit."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Form, Answer]] = OrderedDict()

    def once(self, post: Post) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            key = request.headers.get("Idempotency-Key")
            form = {name: str(value) for name, value in (await request.post()).items()}
            if key is not None and key in self._known:
                return self._again(key, form)
            try:
                status, told = await post(form)
            except ValidationError as error:
                # Nothing is remembered of a request that failed validation.
                return web.json_response(error_json("parameter_invalid", str(error).splitlines()[0]), status=400)
            if key is not None:
                self._known[key] = (form, (status, told))
                if len(self._known) > ORDERS_MAX:
                    self._known.popitem(last=False)
            return web.json_response(told, status=status)

        return handle

    def _again(self, key: str, form: Form) -> web.Response:
        known, (status, told) = self._known[key]
        if known != form:
            return web.json_response({"error": {"type": "idempotency_error"}}, status=400)
        return web.json_response(told, status=status, headers={"Idempotent-Replayed": "true"})


def error_json(code: str, message: str) -> Json:
    return {"error": {"type": "invalid_request_error", "code": code, "message": message}}

"""The push service: POST /v1/messages with an Idempotency-Key. Each key is delivered once, however often it is sent."""

from collections import OrderedDict
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.sandbox.failures import FailureInjector
from services.sandbox.limits import MESSAGES_MAX

_KEY_CHARACTERS = 255


class Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    studentId: str = Field(min_length=1, max_length=64)  # noqa: N815 - the name on the wire
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(max_length=2000)
    data: dict[str, object] = Field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Inbox:
    """What arrived. `deliveries`: Idempotency-Key -> how often it was accepted; the student saw it once."""

    deliveries: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def accept(self, key: str) -> bool:
        """Whether the message is new."""
        count = self.deliveries.get(key, 0)
        self.deliveries[key] = count + 1
        if len(self.deliveries) > MESSAGES_MAX:
            self.deliveries.popitem(last=False)
        return count == 0

    def summary(self) -> dict[str, int]:
        accepted = sum(self.deliveries.values())
        return {"messages": len(self.deliveries), "accepted": accepted, "repeated": accepted - len(self.deliveries)}


def routes(inbox: Inbox, failures: FailureInjector) -> list[web.RouteDef]:
    async def post_message(request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key", "").strip('"')
        if not 0 < len(key) <= _KEY_CHARACTERS:
            return web.json_response({"error": "Idempotency-Key is missing or too long"}, status=400)
        try:
            Message.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error.errors(include_url=False)[0]["msg"])}, status=422)
        new = inbox.accept(key)
        return web.json_response({"id": key, "repeated": not new}, status=201 if new else 200)

    return [web.post("/v1/messages", failures.wrap("push", post_message))]

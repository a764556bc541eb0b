"""The push service: POST {PUSH_URL}/v1/messages. It delivers each Idempotency-Key once, however often it is sent."""

from uuid import UUID

import orjson

from services.notifier.messages import Message
from services.notifier.outside import OutsideService, refused


class Push:
    def __init__(self, service: OutsideService) -> None:
        self._service = service

    async def send(self, message: Message, event_id: UUID) -> None:
        """Returns once the service has taken it. Raises TransientError, PermanentError or DependencyError."""
        body = {
            "studentId": message.student_id,
            "title": message.title,
            "body": message.body,
            "data": message.data,
        }
        headers = {"Idempotency-Key": str(event_id), "Content-Type": "application/json"}
        answer = await self._service.call("POST", "/v1/messages", headers=headers, body=orjson.dumps(body))
        if not answer.ok:
            raise refused(self._service.name, answer)

"""The canonical line: one for each request, with the trace that the caller began, whatever becomes of the others."""

import asyncio

import orjson
import structlog

from tests.support.checkout import CONFIRM, confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import STUDENT, Gateway, place_order
from tests.support.printed import printed

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_line_names_the_request_and_its_trace(gateway: Gateway) -> None:
    with printed("gateway") as lines:
        headers = {"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "request-1"}
        await gateway.call("GET", "/api/v1/payments/ord_1", headers=headers)
    [line] = [orjson.loads(one) for one in lines.getvalue().splitlines()]
    assert (line["event"], line["route"], line["status"]) == ("request", "/api/v1/payments/{orderId}", 401)
    assert (line["trace_id"], line["request_id"], line["orderId"]) == (_TRACE, "request-1", "ord_1")


async def test_the_line_of_a_confirmation_tells_whose_payment_it_is(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1")
    fields = await pay(gateway, order)
    with printed("gateway") as lines:
        for _ in range(2):
            await confirm(gateway, fields)
        await eventually(lambda: len(_of_confirmations(lines.getvalue())) == 2)
    for line in _of_confirmations(lines.getvalue()):
        about = line["orderId"], line["paymentId"], line["studentId"], line["courseId"]
        assert about == (order["orderId"], fields["razorpay_payment_id"], STUDENT, "course-0001")


async def test_requests_without_an_id_get_one_each(gateway: Gateway) -> None:
    with printed("gateway") as lines:
        await asyncio.gather(*(gateway.call("GET", f"/api/v1/payments/ord_{number}") for number in range(50)))
    ids = [orjson.loads(line)["request_id"] for line in lines.getvalue().splitlines()]
    assert len(ids) == len(set(ids)) == 50
    assert all(len(one) == 32 for one in ids)


async def test_a_line_that_cannot_be_written_costs_no_other(gateway: Gateway) -> None:
    with printed("gateway") as lines:

        def refuse(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
            if fields.get("orderId") == "ord_7":
                raise OSError("no space left on device")
            return fields

        structlog.configure(processors=[refuse, *structlog.get_config()["processors"]])
        calls = (gateway.call("GET", f"/api/v1/payments/ord_{number}") for number in range(20))
        assert {status for status, _ in await asyncio.gather(*calls)} == {401}
        await eventually(lambda: len(_orders_in(lines.getvalue())) == 19)
    assert _orders_in(lines.getvalue()) == {f"ord_{number}" for number in range(20)} - {"ord_7"}


def _orders_in(lines: str) -> set[str]:
    told = (orjson.loads(line) for line in lines.splitlines())
    return {line["orderId"] for line in told if line["event"] == "request"}


def _of_confirmations(lines: str) -> list[dict[str, object]]:
    told = (orjson.loads(line) for line in lines.splitlines())
    return [line for line in told if line["event"] == "request" and line["route"] == CONFIRM]

"""What no HTTP library would send: each a 4xx problem, and none of it told again, neither to the sender nor in a log.

A line that cannot be read may be somebody's Authorization header, sent by a broken client.
"""

from pathlib import Path

from services.gateway_api.callers.roles import Role
from tests.support.gateway import Gateway, running_gateway
from tests.support.printed import printed
from tests.support.raw_http import answer_to, answers_to, request

CANARY = "eyJhbGciOiJFZERTQSJ9.Canary"
CONFIRM = "/api/v1/payments/confirm"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def _get(*headers: str | bytes, path: str = f"/api/v1/payments/{CANARY}") -> bytes:
    return request("GET", path, *headers)


def _post(*headers: str | bytes, body: bytes = b"{}") -> bytes:
    return request("POST", CONFIRM, JSON, f"X-Note: {CANARY}", *headers, body=body)


HEADS = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00" + CANARY.encode() + b"\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version to come": b"GET / HTTP/3.9\r\nHost: shop\r\n\r\n",
    "lines that end otherwise": b"GET / HTTP/1.1\nHost: shop\n\n",
    "an unheard-of method": request(CANARY.partition(".")[0].upper(), "/health/live"),
    "NUL in a header": _get(b"Authorization: Bearer " + CANARY.encode() + b"\x00"),
    "NUL in an idempotency key": _get(b"Idempotency-Key: " + CANARY.encode() + b"\x00"),
    "NUL in the path": _get(path=f"/{CANARY}\x00"),
    "a header without a colon": _get(f"Authorization Bearer {CANARY}"),
    "a header of two lines": _get(f"Authorization: Bearer\r\n  {CANARY}"),
    "a giant header": _get("Authorization: Bearer " + CANARY * 800),
    "a giant path": _get(path="/" + CANARY * 800),
    "a thousand headers": _get(*(f"X-{number}: {CANARY}" for number in range(1000))),
    "no host": f"GET /{CANARY} HTTP/1.1\r\n\r\n".encode(),
    "two hosts": _get(f"Host: {CANARY}"),
    "a broken address": _get(path=f"http://[::{CANARY}"),
    "an expectation": _get(f"Expect: {CANARY}"),
}
LENGTHS = {
    value: _post(f"Content-Length: {value}") for value in ("abc", "-1", "+2", "0x2", "2, 2", "9" * 40, "", "2\x00")
}
FRAMES = {
    "two lengths": _post("Content-Length: 2", "Content-Length: 3"),
    "a length and chunks": _post("Content-Length: 2", CHUNKED, body=b"0\r\n\r\n"),
    "chunks twice": _post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunks of gzip": _post("Transfer-Encoding: gzip", body=CANARY.encode()),
    "identity": _post("Transfer-Encoding: identity"),
}
CHUNKS = {
    "a size that is none": _post(CHUNKED, body=CANARY.encode() + b"\r\n{}\r\n0\r\n\r\n"),
    "a size without end": _post(CHUNKED, body=b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
    "a size below nothing": _post(CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "more than its size": _post(CHUNKED, body=b"2\r\n{}" + CANARY.encode() + b"\r\n0\r\n\r\n"),
}


async def test_what_cannot_be_read_is_a_problem_and_is_not_repeated(gateway: Gateway) -> None:
    with printed("gateway") as lines:
        for what, sent in (*HEADS.items(), *LENGTHS.items(), *FRAMES.items(), *CHUNKS.items()):
            answer = await answer_to(gateway.port, sent)
            assert 400 <= answer.status < 500, what
            assert (answer.problem["type"], answer.problem["status"]) == ("/problems/bad-request", answer.status), what
            assert CANARY.encode() not in answer.whole, what
    assert '"event":"request_unreadable"' in lines.getvalue()
    assert CANARY not in lines.getvalue()


async def test_chunks_that_lie_later_are_a_problem_too(database_url: str, tmp_path: Path) -> None:
    async with running_gateway(database_url, tmp_path, body_read_s=0.3) as gateway:
        with printed("gateway") as lines:
            for what, sent in CHUNKS.items():
                head, _, chunks = sent.partition(b"\r\n\r\n")
                answer = await answer_to(gateway.port, head + b"\r\n\r\n", chunks)
                assert answer.problem["type"] in {"/problems/bad-request", "/problems/slow-body"}, what
                assert CANARY.encode() not in answer.whole, what
        assert CANARY not in lines.getvalue()


async def test_an_encoded_body_is_refused_before_it_is_unpacked(gateway: Gateway) -> None:
    token = f"Authorization: {gateway.headers(Role.STUDENT)['Authorization']}"
    for path in (CONFIRM, "/api/v1/webhooks/razorpay", "/api/v1/orders"):
        for encoding in ("gzip", "deflate", "br", "zstd", "identity", "x" * 100):
            sent = request("POST", path, JSON, token, f"Content-Encoding: {encoding}", "Content-Length: 2", body=b"{}")
            answer = await answer_to(gateway.port, sent)
            assert answer.problem["type"] == "/problems/unsupported-media-type", (path, encoding)


async def test_what_stands_behind_a_whole_body_is_a_request_of_its_own(gateway: Gateway) -> None:
    sent = _post("Content-Length: 2") * 2 + request("GET", "/health/live")
    answers = await answers_to(gateway.port, sent, _get(f"Authorization Bearer {CANARY}"), count=4)
    assert [answer.status for answer in answers] == [422, 422, 200, 400]


async def test_a_caller_who_leaves_in_the_middle_leaves_nothing(gateway: Gateway) -> None:
    with printed("gateway") as lines:
        for part in (b"", b"POST /api", _post("Content-Length: 100", body=b"{"), _post(CHUNKED, body=b"2\r\n{")):
            assert (await answer_to(gateway.port, part, hang_up=True)).status in {0, 400}, part
        assert (await gateway.call("GET", "/health/live"))[0] == 200
    assert '"level":"error"' not in lines.getvalue()

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import ErrorKind, PermanentError, PoisonError, RecordError, TransientError
from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.common.limits import DEAD_LETTER_BYTES_MAX, HEADERS_BYTES_MAX
from services.engine.outcomes import Dead, Retry
from services.engine.records import Header, OutgoingRecord, Record
from services.engine.retries import OUR_HEADERS, Ladder
from tests.support.deliveries import MAIN, TOPICS, record

WORKER = "purchase-worker"
NOW_MS = 1_800_000_000_000
TRACE = b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
LADDER = Ladder(TOPICS, WORKER, jitter=lambda: 0.5)


def handed_on(source: Record, error: RecordError | None = None, now_ms: int = NOW_MS) -> OutgoingRecord:
    error = error or TransientError("no purchase for ord_1", cause_class="Example")
    outcome = Retry(error) if error.kind is ErrorKind.TRANSIENT else Dead(error)
    return LADDER.hand_off(LADDER.read(source, 1), outcome, now_ms=now_ms)


def read_again(outgoing: OutgoingRecord, offset: int = 9) -> Record:
    return Record(outgoing.topic, 3, offset, NOW_MS, outgoing.key, outgoing.value, outgoing.headers)


def test_the_first_failure_goes_to_the_first_tier_with_everything_a_reader_needs() -> None:
    outgoing = handed_on(record(partition=4, offset=77, headers=(("theirs", b"\xff"), ("traceparent", TRACE))))
    headers = dict(outgoing.headers)
    fingerprint = headers.pop("error-fingerprint")
    assert fingerprint is not None
    assert len(fingerprint) == 16
    assert outgoing.topic == "t-purchase-worker.retry.2s"
    assert outgoing.headers[0] == ("traceparent", TRACE)
    assert headers == {
        "traceparent": TRACE,
        "retry-attempt": b"1",
        "retry-tier": b"2s",
        "retry-due-ms": b"1800000002100",
        "origin-topic": MAIN.encode(),
        "origin-partition": b"4",
        "origin-offset": b"77",
        "origin-timestamp-ms": b"1700000000000",
        "first-failed-ms": b"1800000000000",
        "last-failed-ms": b"1800000000000",
        "error-class": b"Example",
        "error-message": b"no purchase for ord_1",
        "error-kind": b"transient",
        "worker": b"purchase-worker",
        "theirs": b"\xff",
    }


def test_each_hop_replaces_and_the_last_one_is_a_dead_letter() -> None:
    source = record(offset=77, headers=(("traceparent", TRACE), ("theirs", None)))
    topics, hop = [], source
    for number in range(4):
        outgoing = handed_on(hop, now_ms=NOW_MS + number)
        names = [name for name, _ in outgoing.headers]
        assert len(names) == len(set(names))
        hop = read_again(outgoing)
        topics.append(outgoing.topic)
    assert topics == [f"t-purchase-worker.{end}" for end in ("retry.2s", "retry.4s", "retry.8s", "dlq")]
    assert hop.header("origin-topic") == MAIN
    assert hop.number("origin-offset") == 77
    assert hop.number("retry-attempt") == 3
    assert (hop.number("first-failed-ms"), hop.number("last-failed-ms")) == (NOW_MS, NOW_MS + 3)
    assert hop.header("retry-tier") is None
    assert hop.header("retry-due-ms") is None
    assert hop.header("error-stack") is not None
    assert (hop.key, hop.value) == (source.key, source.value)


def test_poison_is_dead_at_once_with_its_bytes() -> None:
    outgoing = handed_on(record(key=None, value=b"\x00\xff"), PoisonError("not ours"))
    headers = dict(outgoing.headers)
    assert outgoing.topic == "t-purchase-worker.dlq"
    assert (outgoing.key, outgoing.value) == (None, b"\x00\xff")
    assert headers["retry-attempt"] == b"0"
    assert headers["error-kind"] == b"poison"


def test_a_tier_record_without_our_headers_has_used_no_retry_and_is_due_now() -> None:
    delivery = LADDER.read(record(topic=TOPICS.retry(WORKER, "4s")), 1)
    assert (delivery.retries, delivery.due_ms, delivery.expected) == (0, None, None)


def test_a_retried_record_is_routed_by_where_it_came_from() -> None:
    origin = (("origin-topic", TOPICS.main(PaymentAdjusted).encode()),)
    delivery = LADDER.read(record(topic=TOPICS.retry(WORKER, "2s"), headers=origin), 1)
    assert delivery.expected is PaymentAdjusted
    assert LADDER.read(record(), 1).expected is PaymentSucceeded


def test_attempts_claimed_on_a_main_topic_do_not_count() -> None:
    assert LADDER.read(record(headers=(("retry-attempt", b"3"),)), 1).retries == 0


def test_a_replay_keeps_its_count_its_id_and_its_origin() -> None:
    replay: tuple[Header, ...] = (
        ("replay-id", b"7f3c"), ("replay-count", b"2"),
        ("origin-topic", MAIN.encode()), ("origin-partition", b"1"), ("origin-offset", b"5"),
    )  # fmt: skip
    outgoing = handed_on(record(topic=TOPICS.retry(WORKER, "2s"), headers=replay))
    headers = dict(outgoing.headers)
    assert {name: headers[name] for name, _ in replay} == dict(replay)
    assert headers["retry-attempt"] == b"1"


def test_a_tier_that_is_no_longer_configured_still_waits_its_delay() -> None:
    assert LADDER.delay_s("30s") == 30
    assert LADDER.delay_s("2s") == 2
    assert LADDER.delay_s("nonsense") == 0


@given(
    st.text(max_size=3_000),
    st.text(max_size=3_000),
    st.lists(st.tuples(st.sampled_from(OUR_HEADERS), st.binary(max_size=3_000)), max_size=40),
)
def test_our_headers_take_four_kilobytes_at_most(message: str, cause: str, hostile: list[Header]) -> None:
    error = PermanentError(message, cause_class=cause)
    source = record(topic=TOPICS.retry(WORKER, "2s"), headers=tuple(hostile))
    outgoing = handed_on(source, error)
    ours = [(name, value or b"") for name, value in outgoing.headers if name in OUR_HEADERS]
    assert sum(len(name) + len(value) for name, value in ours) <= HEADERS_BYTES_MAX
    assert len({name for name, _ in ours}) == len(ours)
    for _, value in ours:
        value.decode()


def test_a_record_that_does_not_fit_sheds_stack_and_message_before_it_becomes_a_pointer() -> None:
    def stored(size: int) -> OutgoingRecord:
        return handed_on(record(value=b"x" * size), _raised())

    full = stored(10)
    room = DEAD_LETTER_BYTES_MAX - 4_096 - sum(len(name) + len(value or b"") for name, value in full.headers) - 5
    assert dict(stored(room).headers).keys() == dict(full.headers).keys()
    assert "error-stack" not in dict(stored(room + 1).headers)
    assert "error-message" in dict(stored(room + 1).headers)
    pointer = stored(DEAD_LETTER_BYTES_MAX)
    assert pointer.value is None
    assert pointer.key == b"ord_1"
    assert dict(pointer.headers)["origin-offset"] == b"0"


def _raised() -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        raise PermanentError("never")
    return caught.value


@pytest.mark.parametrize("message", ["no purchase for ord_2", "no purchase for ord_17"])
def test_what_failed_alike_has_one_fingerprint(message: str) -> None:
    def fingerprint(error: RecordError) -> bytes | None:
        return dict(handed_on(record(), error).headers)["error-fingerprint"]

    assert fingerprint(TransientError(message)) == fingerprint(TransientError("no purchase for ord_1"))
    assert fingerprint(TransientError(message)) != fingerprint(TransientError(message, cause_class="Other"))
    assert fingerprint(TransientError(message)) != fingerprint(TransientError("no trainer for ord_1"))

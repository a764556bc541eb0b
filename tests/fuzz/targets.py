"""What is attacked: everything that reads bytes from outside. A target raises AssertionError, or anything that is not
the documented refusal, when a mutant shows a fault.
"""

import json
import re
from collections.abc import Callable, Mapping
from random import Random

import orjson

from services.common.codec import EncodedEvent, load_codec
from services.common.errors import PoisonError, TransientError
from services.common.validation import validate
from services.gateway_api.providers.verified import InvalidSignatureError, VerifiedPayment
from services.gateway_api.web.problems import Problem
from services.gateway_api.web.reading import decode_json
from services.operations.schemas.files import read_versions
from tests.fuzz.mutations import mutant_of
from tests.fuzz.senders import senders
from tests.support.payment_providers import callback, razorpay_without_network

# True: accepted.
Target = Callable[[Random], bool]
_AMOUNT_MAX = 10**15
_is_stored_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_currency = re.compile(r"[A-Z]{3}").fullmatch
_is_event_name = re.compile(r"[A-Za-z0-9_.]{1,128}").fullmatch
_CODEC = load_codec()
_VERSIONS = read_versions()
_FRAMES = [
    _CODEC.frame(EncodedEvent(type=version.type_name, version=version.number, body=version.golden()))
    for version in _VERSIONS
]
_KEY = _VERSIONS[0].example()["order_id"].encode()
_RAZORPAY = razorpay_without_network()
_SENDERS = senders()
_ORDER = orjson.dumps(
    {
        "courseId": "course-0001", "purchaseTier": 10, "provider": "razorpay", "metadata": {"channel": "web"},
        "schedule": {
            "startDate": "2030-01-07", "timeSlot": "18:00", "weekdays": [1, 3], "timeZone": "Asia/Kolkata",
            "durationMinutes": 60, "mode": "online", "preferredGender": None, "location": None,
        },
    }
)  # fmt: skip


def events(random: Random) -> bool:
    """A record of a topic: poison, of an unknown schema, or an event that can be written and read again."""
    value, key = mutant_of(_FRAMES, random), _KEY
    try:
        event = _CODEC.decode(value, key)
    except (PoisonError, TransientError):
        return False
    validate(event)
    assert event.order_id.encode() == key
    assert _CODEC.decode(_CODEC.encode_framed(event), key) == event
    return True


def razorpay_callbacks(random: Random) -> bool:
    """Whatever is changed in the fields, nothing but the signed pair comes out."""
    genuine = {name: str(value) for name, value in callback("order_1", "pay_1").items()}
    fields = dict(genuine)
    for name in random.sample(sorted(fields), random.randint(1, len(fields))):
        fields[name] = _text(mutant_of([fields[name].encode()], random))
    try:
        fact = _RAZORPAY.read_callback(fields, b"")
    except InvalidSignatureError:
        return False
    assert fields == genuine
    _require_sound(fact)
    return True


def forged_webhooks(random: Random) -> bool:
    """The body or a header is changed behind the signature: not accepted, unless what is signed stayed as it was."""
    sender = random.choice(_SENDERS)
    body = random.choice(sender.bodies)
    headers = sender.sign(body)
    name = random.choice(["", *headers])
    changed = mutant_of([body], random) if not name else body
    sent = headers | ({name: _text(mutant_of([headers[name].encode()], random))} if name else {})
    try:
        fact = sender.provider.read_webhook(sent, changed)
    except InvalidSignatureError:
        return False
    assert changed == body
    assert sender.proves(sent, headers)
    _require_sound(fact)
    return True


def genuine_webhooks(random: Random) -> bool:
    """The provider itself sends nonsense, rightly signed: a fact, whatever it means, and no error."""
    sender = random.choice(_SENDERS)
    body = mutant_of(sender.bodies, random)
    _require_sound(sender.provider.read_webhook(sender.sign(body), body))
    return True


def bodies(random: Random) -> bool:
    """JSON of the routes: refused with 400, or the same after it is written and read again."""
    data, refused = None, None
    try:
        data = decode_json(mutant_of([_ORDER, *_SENDERS[0].bodies], random))
    except Problem as problem:
        refused = problem
    if refused is not None:
        assert refused.status == 400
        return False
    assert decode_json(json.dumps(data, ensure_ascii=False).encode()) == data
    return True


TARGETS: Mapping[str, Target] = {
    "events": events,
    "razorpay-callbacks": razorpay_callbacks,
    "forged-webhooks": forged_webhooks,
    "genuine-webhooks": genuine_webhooks,
    "bodies": bodies,
}


def _text(value: bytes) -> str:
    """As aiohttp gives a header that is no ASCII."""
    return value.decode(errors="surrogateescape")


def _require_sound(fact: VerifiedPayment) -> None:
    """What PostgreSQL is about to store."""
    for value in (fact.provider_event_id, fact.provider_order_id, fact.payment_id, fact.entity_id):
        assert value is None or _is_stored_id(value)
    for amount in (fact.amount_minor, fact.cumulative):
        assert amount is None or 0 <= amount <= _AMOUNT_MAX
    assert fact.currency is None or _is_currency(fact.currency)
    assert _is_event_name(fact.event)

"""What to open and what to paste, once a system is up."""

from collections.abc import Iterator

from services.sandbox.demo.system import System

_ORDER = (
    '{"courseId": "course-0001", "purchaseTier": 10, "provider": "razorpay", "schedule": {"startDate": "%s",'
    ' "timeSlot": "18:00", "weekdays": [1, 3], "timeZone": "Asia/Kolkata", "durationMinutes": 60,'
    ' "mode": "online", "preferredGender": null, "location": null}, "metadata": {}}'
)


def urls(system: System) -> Iterator[tuple[str, str]]:
    """(what, address), the interesting ones first."""
    yield "API", f"{system.gateway_url}/openapi.json"
    yield "sandbox checkout", f"{system.sandbox_url}/checkout/PROVIDER_ORDER_ID"
    yield "sandbox failures", f"{system.sandbox_url}/control/failures"
    for name, child in system.children.items():
        if child.ready_url.endswith("/health/ready"):
            yield f"metrics of {name}", child.ready_url.removesuffix("/health/ready") + "/metrics"


def curl_lines(system: System, *, coursepay: str, start_date: str) -> Iterator[str]:
    """A purchase from order to course, for a POSIX shell. `coursepay`: how the console script is called here."""
    gateway, sandbox = system.gateway_url, system.sandbox_url
    json_type = "-H 'Content-Type: application/json'"
    yield f"TOKEN=$({coursepay} token --role student --subject student-000001)"
    yield (
        f'ORDER=$(curl -sS {gateway}/api/v1/orders -H "Authorization: Bearer $TOKEN"'
        f' -H "Idempotency-Key: $(date +%s)" {json_type} -d \'{_ORDER % start_date}\'); echo "$ORDER"'
    )
    yield 'field() { printf \'%s\' "$ORDER" | sed "s/.*\\"$1\\": *\\"\\([^\\"]*\\)\\".*/\\1/"; }'
    pay = f"{sandbox}/checkout/$(field providerOrderId)/pay"
    yield f"CALLBACK=$(curl -sS {pay} {json_type} -d '{{}}'); echo \"$CALLBACK\""
    yield f'curl -sS {gateway}/api/v1/payments/confirm {json_type} -d "$CALLBACK"; echo'
    yield f'curl -sS {gateway}/api/v1/payments/$(field orderId) -H "Authorization: Bearer $TOKEN"; echo'
    yield f'curl -sS {gateway}/api/v1/students/student-000001/sessions -H "Authorization: Bearer $TOKEN"; echo'

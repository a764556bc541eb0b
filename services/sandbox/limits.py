"""Limits of the simulators and the demo. They guard a developer's machine, no customer, so nobody tunes them."""

BODY_BYTES_MAX = 64 * 1024
# Oldest first out: a simulator that runs for weeks must not grow.
ORDERS_MAX = 1_000_000
MESSAGES_MAX = 2_000_000

WEBHOOKS_WAITING_MAX = 20_000
WEBHOOKS_IN_FLIGHT_MAX = 16
# That can be sent again.
WEBHOOKS_REMEMBERED_MAX = 1_000
# Razorpay waits 5 s for a 2xx and repeats for 24 h; a try-out repeats for about 5 minutes.
WEBHOOK_CALL_S = 5.0
WEBHOOK_TRIES_MAX = 24
WEBHOOK_FIRST_WAIT_S = 0.5
WEBHOOK_WAIT_MAX_S = 15.0

# The SDK sends up to 512 spans at once.
SPANS_BODY_BYTES_MAX = 4 * 1024 * 1024
SPANS_OF_TRACE_MAX = 1_000
TRACES_MAX = 2_000

"""Limits of the HTTP side that nobody should have to tune, with their reasons."""

BODY_BYTES_MAX = 16 * 1024
WEBHOOK_BYTES_MAX = 256 * 1024
# A phone on a bad line sends 16 KiB within this; a slow-body attack holds a connection no longer.
BODY_READ_S = 10.0
JSON_DEPTH_MAX = 32

# One request may wait this long for PostgreSQL in all, so that 503 is told within 2 s.
DATABASE_DEADLINE = "1800ms"
RETRY_AFTER_S = 1

IDEMPOTENCY_KEY_CHARACTERS_MAX = 255
# A request that runs longer has died with its process; its key may be taken over.
IDEMPOTENCY_LEASE_S = 30
IDEMPOTENCY_KEPT_HOURS = 24

PAGE_ITEMS = 50
PAGE_ITEMS_MAX = 200
START_DATE_DAYS_MAX = 400

BAD_SIGNATURES_MAX = 100
BAD_CREDENTIALS_MAX = 100
# A machine that was let in so lately is not guessing, whoever else calls from its address.
GOOD_KEY_S = 60.0
GOOD_KEYS_MAX = 1000
SUBJECT_REQUESTS_MAX = 300
RATE_WINDOW_S = 10
# One behind another, between a caller and the gateway.
PROXIES_MAX = 8

TOKEN_CHARACTERS_MAX = 8 * 1024
# Clocks of an identity provider and of ours may differ by this much.
TOKEN_LEEWAY_S = 30
JWKS_KEPT_S = 600.0
JWKS_REFRESH_S = 30.0
JWKS_BYTES_MAX = 256 * 1024
JWKS_CALL_S = 1.5
DRAIN_S = 10.0
REGISTRY_AGAIN_S = 1.0
# Longer than the idle time of a load balancer would be, short enough against connections that never speak.
IDLE_S = 15.0
# Of the rest of a body that was refused, so that its sender gets to read why.
LINGER_S = 2.0
# Of an answer that nobody reads.
STALLED_S = 20.0

SWEEP_INTERVAL_S = 3600.0
SWEEP_ROWS = 1000

# All tries of one call to a payment provider, connecting included.
PROVIDER_CALL_S = 5.0
PROVIDER_TRIES = 3
PROVIDER_ANSWER_BYTES_MAX = 1024 * 1024

# Facts in one commit, and facts that wait for one. Fewer than the least are not worth a second writer beside the first.
RECORDING_FACTS_MIN = 24
RECORDING_FACTS_MAX = 128
RECORDING_WRITERS_MAX = 3
RECORDING_QUEUE_MAX = 2_000
# From the moment when a request has its fact: it must be answered within 2 s, whoever is in front.
RECORDING_DEADLINE_S = 1.7
RECORDING_READ_BACK_S = 0.5

OUTBOX_ROWS_MAX = 500
# Longer than the producer's delivery timeout: a row is never sent by two relays while both live.
OUTBOX_LEASE_S = 30.0
OUTBOX_POLL_S = 0.25
OUTBOX_DRAIN_S = 5.0
OUTBOX_KEPT_DAYS = 7
OUTBOX_REMOVE_INTERVAL_S = 60.0
# A row that Kafka refused so often pages someone; it is tried further, ever more seldom.
OUTBOX_BLOCKED_AFTER = 5
OUTBOX_BLOCKED_WAIT_MAX_S = 600.0

# Under the policy `capture` a browser waits so long for the provider's word.
CAPTURE_FETCH_S = 1.2
# All that happens before the answer: without one it is 202.
CONFIRM_S = 1.8
CONFIRM_AGAIN_S = 2
# How often a page may ask about a payment that is on its way.
POLL_S_MIN, POLL_S_MAX = 2, 60
FORM_FIELDS_MAX = 50

TASKS_POLL_S = 1.0
TASKS_MAX = 20
TASK_LEASE_S = 60.0
TASK_CALL_S = 5.0
# Of a verification or a refund that the provider did not answer, or not finally.
TASK_AGAIN_S = 60.0
TASK_AGAIN_MAX_S = 3600.0
TASK_ATTEMPTS_MAX = 48
# After a refund that failed at the provider, and how many may fail before a person has to find another way.
REFUND_AGAIN_S = 60.0
REFUND_AGAIN_MAX_S = 3600.0
REFUNDS_FAILED_MAX = 12
# Shorter than any provider remembers an idempotency key.
REFUND_KEY_S = 20 * 3600.0

SWEEPS_POLL_S = 30.0
# Renewed while a sweep works, so that one whose gateway was killed is taken over after this.
SWEEP_LEASE_S = 60.0
# After an error: a provider that is away has nothing to list a moment later either.
SWEEP_AGAIN_S = 60.0
# Compared and recorded at once; far below what may wait, so that confirmations are not refused for a sweep.
SWEEP_FACTS = 64

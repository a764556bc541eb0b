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
SUBJECT_REQUESTS_MAX = 300
RATE_WINDOW_S = 10

TOKEN_CHARACTERS_MAX = 8 * 1024
# Clocks of an identity provider and of ours may differ by this much.
TOKEN_LEEWAY_S = 30
JWKS_KEPT_S = 600.0
JWKS_REFRESH_S = 30.0
JWKS_BYTES_MAX = 256 * 1024
JWKS_CALL_S = 1.5
DRAIN_S = 10.0
# Longer than the idle time of a load balancer would be, short enough against connections that never speak.
KEEP_ALIVE_S = 15.0

SWEEP_INTERVAL_S = 3600.0
SWEEP_ROWS = 1000

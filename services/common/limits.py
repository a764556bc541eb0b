"""Limits that nobody should have to tune, with their reasons. What an operator tunes is in settings.py."""

# A PaymentSucceeded takes about 300 bytes; metadata may make it some KiB.
RECORD_BYTES_MAX = 1_000_000
# Retry and dead-letter copies of a record carry our headers (4 KiB) and whatever headers it came with.
DEAD_LETTER_BYTES_MAX = RECORD_BYTES_MAX + 128 * 1024
HEADERS_BYTES_MAX = 4096

BATCH_RECORDS_MAX = 500
POLL_INTERVAL_S = 0.1
# A killed worker's partitions move within this time, and the others hear of it with their next heartbeat: so nothing is
# behind 15 s after a kill. Less than 6 s is refused by a broker as it comes.
SESSION_TIMEOUT_S = 6.0
HEARTBEAT_INTERVAL_S = 1.0
COMMIT_INTERVAL_S = 1.0
COMMIT_RECORDS = 500
PARKED_RECORDS_MAX = 2_000
PARKED_BYTES_MAX = 16 * 1024 * 1024
RETRY_JITTER = 0.1
REVOKE_BUDGET_S = 10.0
# In a revoke, on the thread that polls: with REVOKE_BUDGET_S less than a poll may be late.
COMMIT_ANSWER_S = 3.0
DRAIN_BUDGET_S = 20.0
# After the drain: a stop ends within a grace period of 30 s even when Kafka is silent. What is uncommitted comes again.
CLOSE_BUDGET_S = 5.0
PRODUCER_CLOSE_S = 4.0
DELIVERY_TIMEOUT_S = 10.0
PROBE_INTERVAL_S = 1.0
# A worker with nothing to do asks Kafka something now and then, and takes a longer silence for an outage.
KAFKA_LOOK_INTERVAL_S = 5.0
KAFKA_ANSWER_S = 5.0
CONCURRENT_RECORDS_MAX = 8

POOL_ACQUIRE_S = 2.0
LOCK_TIMEOUT_S = 1.0
QUICK_TRIES = 2
QUICK_TRIES_BUDGET_S = 0.3
HTTP_CALL_S = 3.0
REGISTRY_START_S = 60.0
HTTP_BODY_BYTES_MAX = 64 * 1024

FLOOD_WINDOW_RECORDS = 200
FLOOD_RATIO = 0.2
FLOOD_RUN_RECORDS = 50
FLOOD_PAUSE_S = 30.0
CRASHES_MAX = 3

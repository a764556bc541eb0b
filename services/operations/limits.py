"""Limits of the operations service that nobody should have to tune, with their reasons."""

# Prometheus scrapes every 15 s at most often; an alert on the backlog shall not wait for a second scrape.
SAMPLE_INTERVAL_S = 5.0
# One look at the cluster makes a handful of calls; each has this long.
KAFKA_CALL_S = 5.0
# A sample that takes longer than this is given up, so that a stuck call never stops the figures for good.
SAMPLE_S = 30.0
DATABASE_CONNECTIONS_MAX = 4
# Dead letters are looked at by people: seconds are fast enough.
INDEX_INTERVAL_S = 2.0
INDEX_S = 60.0
INDEX_RECORDS_MAX = 500
# A trainer's load may count an hour too long, but not a day.
RELEASE_INTERVAL_S = 60.0
RELEASE_S = 60.0
RELEASE_ROWS_MAX = 100
# These walk through whole tables; what they look for does not heal or spread within minutes. Each query has RECOUNT_S.
RECOUNT_INTERVAL_S = 600.0
RECOUNT_S = 60.0
# A round that failed is not left for ten minutes, but does not follow itself at once either.
TRY_AGAIN_S = 60.0
# A person waits for it at a terminal.
REPAIR_S = 600.0

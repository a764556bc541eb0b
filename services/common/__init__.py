"""The edges that two services share. Imports no service and not the engine; holds no business noun but events.

settings.py      every address and secret, the only reader of the environment;  setting_kinds.py  what they may be
limits.py        limits that nobody tunes
errors.py        what can go wrong, as one tree
events.py        a frozen dataclass per event;  validation.py  what their values may be;  codec.py  event <-> bytes
topics.py        the routing table;  topic_admin.py  the same on a cluster;  kafka_config.py  how clients connect
database.py      pool, transactions, deadlines;  outbox.py  an event stored with the decision that it tells
metrics.py       the catalogue of instruments.py;  telemetry/  log lines (logs.py) and traces (traces.py)
health.py        /metrics and /health;  runtime.py  running a service
breaker.py       a circuit breaker
"""

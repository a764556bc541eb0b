"""The HTTP API, and what must happen to payments later.

A request passes the folders in this order: `web/` (bytes, errors, the log line), `routing/` (which endpoint, who may
call it, how much it may send), `callers/` (who it is), then a handler in `payments/`, `students/` or `admin/`, with the
models of `bodies/`. `providers/` know what a payment provider signs; `publishing/` brings what was committed to Kafka.
`app.py` puts it together, `__main__.py` runs it.
"""

"""A payment provider of Stripe's shape, as far as a course seller meets it.

intents.py   payment intents and their JSON, in memory;  api.py  the REST API, form-encoded
idempotency.py  one answer per key
checkout.py  where a student pays;  events.py  the webhooks
Source: Stripe's API reference (payment intents, refunds, errors, idempotent requests) and "Verify webhook signatures".
"""

"""The world around coursepay, to try things against: the outside services, a catalogue, the local stack, the demo.

server.py          one HTTP server with all simulators;  control.py  its switchboard under /control
razorpay/, stripe/ payment providers of their shapes: orders, checkout, payments, refunds
webhooks.py        signed deliveries, repeated until accepted, as providers do
course_service.py  the name of a course;  push_service.py  messages to a student's phone
traces.py          spans over OTLP, to look a trace up;  purchase.py  a purchase from the order to its trace
failures.py        what fails on purpose, and how often
accounts.py        the simulators' keys and secrets, as settings for a gateway and a notifier
catalogue.py       courses, prices and trainers from a seed;  demand.py  what students order of them
seeding.py         a catalogue into PostgreSQL
ledger/            do the books balance? read from PostgreSQL and Kafka only
demo/              the whole system under load, with failures, and its ledger
stack/             a local Kafka and PostgreSQL
"""

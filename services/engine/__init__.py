"""The event engine: what coursepay exists for. It knows records and outcomes, and no business noun but events.

The path of a record:

records.py       as it was read
consumer.py      the poll thread that alone touches the client, and its hand-off to the event loop
outcomes.py      what handling it came to
producer.py      `await send(record)`: acknowledged by every in-sync replica
"""

"""The event engine: what coursepay exists for. It knows records and outcomes, and no business noun but events.

The path of a record, in order:

consumer.py      the poll thread that alone touches the client, and its hand-off to the event loop
records.py       a record as it was read;  lane.py  whose it is now, and what of a partition is finished
parking.py       a retried record waits for its due time
dispatch.py      so much work at once, never two records of one key
processing.py    the sequence: handled and committed, what it caused acknowledged, finished
batches.py       decode, the handler in its transaction, culprits singled out;  outcomes.py  the contract of a handler
settling.py      events and hand-offs, acknowledged;  producer.py  `await send(record)`
retries.py       the ladder and its headers;  failures.py  an error as text
watermark.py     how far a partition is finished

What can hold it up: pauses.py (a dependency is away), guard.py (a flood of dead letters), crashes.py (a record that
kills the process). worker.py puts it together; measures.py tells about it.
"""

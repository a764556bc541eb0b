"""From the outbox to Kafka.

outbox.py  the rows: claimed, published, marked, removed;  relay.py  the task that does it
"""

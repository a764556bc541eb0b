"""Tells students what became of their payment, by push. Nothing ever waits for it, and it may fail.

handler.py        an outcome for each event
messages.py       what a student reads
push.py           the push service;  courses.py  the course service, whose names are an ornament
outside.py        calls to either: limits, a circuit breaker, errors as record errors
notifications.py  the table that remembers what was sent
"""

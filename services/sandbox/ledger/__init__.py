"""Do the books balance? Computed from PostgreSQL, every topic from its first record, and the client's log of answers;
never from counters of the programs that are being checked.

evidence.py   what was found, as plain values;  database_evidence.py, kafka_evidence.py  where it is read
promises.py   the client's answers, payments, outbox and events agree
courses.py    purchases, allocations and sessions agree;  retries.py  attempts, due times, dead letters
violations.py what a broken rule looks like;  checker.py  all rules over all evidence
lateness.py   how late retries were handled
figures.py    what a person wants to count;  tables.py  the same as tables
"""

"""What staff do: every change is by a role, with a reason where it matters, audited in its own transaction.

allocations.py  assignments.py  pendings.py           who teaches whom
sessions.py  reschedule.py                            one session
trainers.py  departures.py                            trainers, and their leaving
prices.py  holiday_calendar.py  payments.py  reviews.py  outbox.py
"""

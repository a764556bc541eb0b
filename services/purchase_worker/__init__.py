"""Turns a payment into a purchase, and what happens to a payment later into what the purchase is still worth.

handler.py      an outcome for each event
purchases.py    student_course_purchases: one row per order, however often the event comes
adjustments.py  purchase_adjustments: the newest change of a payment, applied by whichever event comes second
details.py      the metadata column: the schedule as the student ordered it, and what came with the order
terms.py        how long a purchase is valid, and how much of it is left after a refund
"""

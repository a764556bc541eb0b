"""What students order and see, their own rows only.

orders.py    a course at a price;  payments.py  how its payment stands;  learning.py  purchases, sessions, progress
"""

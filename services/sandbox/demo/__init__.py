"""The whole system under load, with failures on purpose, and a ledger that shows whether anything is missing.

plan.py       who buys what and when, and what goes wrong, from a seed
system.py     a stack, a database, a catalogue, the sandbox and all services;  children.py  their processes
browser.py    a student's browser: order, pay, confirm;  load.py  many of them at a steady rate
sabotage.py   triggers that make some purchases fail;  poison.py  records that are no events
quiet.py      waiting until nothing moves any more
show.py       the sequence of it all
"""

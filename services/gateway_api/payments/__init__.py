"""What is known about payments: facts, the state that they add up to, and what must happen later.

confirm.py  webhooks.py     a callback or a webhook comes in, signed
recording.py                the group commit;  writes.py  reads.py  rows.py  its statements
state.py  changes.py        from facts to a state, from a state to events and tasks: pure, no clock, no database
task_queue.py  tasks.py     verify, reconcile, refund: rows with a due time;  sweeps.py  the nightly comparison

What is told comes from `providers/`, in its words.
"""

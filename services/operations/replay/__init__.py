"""Dead letters back to work: find out, plan, replay, prove. The same code behind `coursepay dlq` and the console.

The path of a replay, in order:
choosing/       which letters, frozen into a plan
targets.py      where a letter goes, and which headers it takes along
runs.py         replay_runs, one link of a chain each (chain.py);  items.py  replay_items, what became of each record
lock.py         one run per topic;  steady.py  steps that lost a race
recovery.py     what was on its way when a run died
execution.py    the run: paced, guarded (pace.py, guards.py), in acknowledged steps
replaying.py    begin, resume and end one;  fates.py  what became of its records: done, back, pending
whereabouts.py  how far Kafka says they are
discarding.py   a decision instead;  transfer.py  export and import
audit.py        all runs, and whether the chain holds;  counting.py  the metric
refusals.py     the errors, by exit code
"""

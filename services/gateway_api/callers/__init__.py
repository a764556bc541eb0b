"""Who calls, what they may, how often, and what is remembered of it.

auth.py  tokens.py  keys.py   people, by JWT;  machine_keys.py  machines;  roles.py
ratelimits.py                 guessing and flooding;  addresses.py  whose, behind a proxy
idempotency.py                the same key, the same answer;  idempotency_sweep.py  forgets them after a day
audit.py                      who changed what, why
"""

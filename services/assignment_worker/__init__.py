"""Gives each purchase a trainer and its sessions, or a reason why nobody can, and keeps both true afterwards.

handler.py      an outcome for each event
allocations.py  the decisions, each one call of a server-side function of sql/
tally.py        how good the first decision about a purchase was
departures.py   a trainer leaves: their sessions to come go to others
shortfalls.py   sessions that found no date are looked at again
pendings.py     what no event causes: those who wait are tried again when a trainer comes or gets time back
"""

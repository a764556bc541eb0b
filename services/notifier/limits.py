"""Limits of the notifier that nobody should have to tune, with their reasons."""

# A host that does not answer a connection attempt is down; waiting longer tells nothing more.
CONNECT_S = 1.0
# A name is an ornament: the message goes out with the course's id rather than later.
COURSE_CALL_S = 1.0
COURSE_NAMES_MAX = 10_000
COURSE_NAME_FRESH_S = 600.0
# A course that the service does not know is asked for again soon: it may be new.
COURSE_UNKNOWN_FRESH_S = 30.0
COURSE_NAME_CHARACTERS_MAX = 100
ERROR_CHARACTERS_MAX = 300

"""Who may do what. A role is a word in a token; which route wants which stands in routing/endpoints.py."""

from enum import StrEnum


class Role(StrEnum):
    STUDENT = "student"
    TRAINER = "trainer"
    VIEWER = "viewer"
    SUPPORT = "support"
    FINANCE = "finance"
    OPS = "ops"


# They may read any student's data.
STAFF = frozenset({Role.VIEWER, Role.SUPPORT, Role.FINANCE, Role.OPS})
STUDENT, SUPPORT, OPS = frozenset({Role.STUDENT}), frozenset({Role.SUPPORT}), frozenset({Role.OPS})
FINANCE = frozenset({Role.FINANCE})
OWNER_OR_STAFF = STUDENT | STAFF
TRAINER_OR_SUPPORT = frozenset({Role.TRAINER, Role.SUPPORT})

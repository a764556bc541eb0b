"""PostgreSQL's codes as kinds of errors: a wrong kind burns retries in an outage, or retries what can never work."""

import pytest

from services.common.errors import ErrorKind, kind_of_sqlstate

KINDS = {
    ErrorKind.TRANSIENT: "40001 40P01 55P03 57014 P0001 23503 23505 23P01 0A000 99999",
    ErrorKind.PERMANENT: "23514 23502 22001 22003 22P02",
    ErrorKind.DEPENDENCY: "08006 57P01 57P02 57P03 53100 53200 53300 58030 28000 28P01 3D000 42P01 42501 XX000 25006",
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in KINDS.items() for code in codes.split()])
def test_each_code_has_its_kind(kind: ErrorKind, code: str) -> None:
    assert kind_of_sqlstate(code) == kind

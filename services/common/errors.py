"""The errors that coursepay tells apart, and what each means for a record.

    CoursepayError
    |-- ConfigurationError        a setting or the machine is wrong; one sentence, exit code 2
    |-- RecordError               something about handling one record
        |-- TransientError        may work later: next tier, after the last tier the dead-letter topic
        |-- PermanentError        can never work: dead-letter topic at once
        |-- PoisonError           the bytes are no valid event: dead-letter topic at once, bytes untouched
        |-- CrashError            the process died with this record in hand, again and again: dead-letter topic
        |-- DependencyError       not the record's fault: pause the worker, probe, use no attempt
            |-- DeadlineError     our own deadline passed; the record's fault after all if others are served

The edges (database.py, the engine's producer, HTTP clients) translate what their libraries raise into this
tree once; everything behind them matches on these classes only.
"""

from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """The value of the `error-kind` header and of the column `dead_letters.error_kind`."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    POISON = "poison"
    DEPENDENCY = "dependency"
    CRASH = "crash"


class CoursepayError(Exception):
    """Base of all errors raised on purpose by coursepay."""


class ConfigurationError(CoursepayError):
    """A setting is wrong, or the machine lacks something. The message is one sentence that says what to do."""


class RecordError(CoursepayError):
    """Handling a record failed.

    `cause_class` names the original exception (an asyncpg or HTTP class), for the `error-class` header.
    """

    kind: ClassVar[ErrorKind]

    def __init__(self, message: str, *, cause_class: str | None = None) -> None:
        super().__init__(message)
        self.cause_class = cause_class or type(self).__name__


class TransientError(RecordError):
    """It may work at another time: a lock timeout, a purchase row that is not there yet, HTTP 5xx of one call."""

    kind = ErrorKind.TRANSIENT


class PermanentError(RecordError):
    """A constraint says that this record can never work."""

    kind = ErrorKind.PERMANENT


class PoisonError(RecordError):
    """The bytes are not a valid event. Never decoded again on the way to the dead-letter topic."""

    kind = ErrorKind.POISON


class CrashError(RecordError):
    """The mark that was set before handling this record survived the death of the process more than once."""

    kind = ErrorKind.CRASH


class DependencyError(RecordError):
    """PostgreSQL, Kafka, the schema registry or another service is away. `dependency` names it."""

    kind = ErrorKind.DEPENDENCY

    def __init__(self, message: str, *, dependency: str, cause_class: str | None = None) -> None:
        super().__init__(message, cause_class=cause_class)
        self.dependency = dependency


class DeadlineError(DependencyError):
    """Our own deadline ended a call. A dependency that serves others meanwhile makes it transient."""


_PERMANENT_STATES = frozenset({"23514", "23502"})
_DEPENDENCY_STATES = frozenset({"57P01", "57P02", "57P03", "3D000", "25006", "XX000"})
_DEPENDENCY_CLASSES = ("08", "53", "58", "28", "42")


def kind_of_sqlstate(sqlstate: str) -> ErrorKind:
    """What a PostgreSQL error code means for the record that met it. Unknown codes are transient: they get retries,
    then a person looks. Source: the error codes appendix of the PostgreSQL manual.
    """
    if sqlstate in _PERMANENT_STATES or sqlstate.startswith("22"):
        return ErrorKind.PERMANENT
    if sqlstate in _DEPENDENCY_STATES or sqlstate.startswith(_DEPENDENCY_CLASSES):
        return ErrorKind.DEPENDENCY
    return ErrorKind.TRANSIENT

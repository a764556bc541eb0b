"""What ends a command of `coursepay dlq` early, by exit code. Each message is one sentence that says what to do."""

from services.common.errors import CoursepayError

EXIT_REFUSED = 3
EXIT_GUARD = 4
EXIT_PARTIAL = 5


class BadFilterError(CoursepayError):
    """What was asked for cannot be understood: exit code 2."""


class RunCutOffError(CoursepayError):
    """PostgreSQL went away in the middle of a run: exit code 5. The message says how to go on."""


class RefusedError(CoursepayError):
    """It is understood and will not be done: exit code 3."""

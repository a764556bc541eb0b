"""An error as text for headers, logs and people: what, where, and a fingerprint that groups what failed alike. Pure."""

import hashlib
import re
import traceback
from pathlib import PurePath
from types import TracebackType

from services.common.errors import RecordError

MESSAGE_BYTES_MAX = 512
STACK_BYTES_MAX = 2_048
_CLASS_BYTES_MAX = 100
_ENGINE_PARTS = frozenset({"engine", "common"})
# Ids, numbers and quoted values: what differs between two records that failed alike.
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\b[\w-]*\d[\w-]*\b")


def message_of(error: RecordError) -> bytes:
    """One line, cut."""
    return cut(" ".join(str(error).split()), MESSAGE_BYTES_MAX)


def class_of(error: RecordError) -> bytes:
    """The original exception's class."""
    return cut(error.cause_class, _CLASS_BYTES_MAX)


def stack_of(error: RecordError) -> bytes:
    """Frames only, the innermost last: messages inside a formatted exception may quote a row."""
    frames = "".join(traceback.format_tb(_traceback_of(error)))
    return frames.encode(errors="replace")[-STACK_BYTES_MAX:].decode(errors="ignore").encode()


def fingerprint_of(error: RecordError) -> bytes:
    """Of the class and the innermost function of a service; without line numbers, so that it survives an edit. For an
    error that was returned instead of raised: of its text without what varies.
    """
    where = _innermost_own_function(_traceback_of(error)) or _VARIABLE.sub("#", str(error))[:200]
    text = f"{error.kind}|{error.cause_class}|{where}"
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16].encode()


def cut(text: str, bytes_max: int) -> bytes:
    """UTF-8 of at most `bytes_max` bytes, never half a character."""
    return text.encode(errors="replace")[:bytes_max].decode(errors="ignore").encode()


def _traceback_of(error: BaseException) -> TracebackType | None:
    """The cause's: an error is translated at an edge, far from where it happened."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error.__traceback__


def _innermost_own_function(stack: TracebackType | None) -> str | None:
    own = [frame for frame in traceback.extract_tb(stack, limit=-50) if "services" in PurePath(frame.filename).parts]
    # What the engine and the edges do is the same for every handler.
    special = [frame for frame in own if not _ENGINE_PARTS & set(PurePath(frame.filename).parts)]
    if not (special or own):
        return None
    frame = (special or own)[-1]
    return f"{PurePath(frame.filename).name}:{frame.name}"

"""Ends a stack when its owner died: `python -m services.sandbox.stack.watcher STATE_DIRECTORY OWNER`.

The owner holds the other end of stdin and writes only when it has ended the stack itself. The kernel closes it when the
owner ends, kill -9 included.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.common.errors import ConfigurationError
from services.sandbox.stack.state import StateDirectory

_END_S = 60.0


@contextmanager
def watched(state: StateDirectory) -> Iterator[None]:
    """Ends what the state directory names, once the calling process is gone or has not done so itself."""
    watcher = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", __name__, str(state.path), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # ctrl-C must not reach it.
        start_new_session=True,
    )
    assert watcher.stdin is not None
    try:
        yield
    finally:
        ended = state.is_ended
        # It may have been killed.
        with suppress(OSError), watcher.stdin as told:
            told.write(b"ended" if ended else b"")
        if ended:
            watcher.wait(_END_S)


def main() -> None:
    directory, owner = Path(sys.argv[1]), int(sys.argv[2])
    told = sys.stdin.buffer.read()
    # The directory itself may be gone with an owner that ended well.
    if told or not directory.is_dir():
        return
    state = StateDirectory(directory)
    # Whoever owns it by now has ended what was left, and what runs is not ours to end.
    with suppress(ConfigurationError), state.owned(ending=True):
        running = state.read()
        if running is not None and running.owner == owner:
            state.end()


if __name__ == "__main__":
    main()

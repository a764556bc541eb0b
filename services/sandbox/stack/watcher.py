"""Ends a stack when its owner died: `python -m services.sandbox.stack.watcher STATE_DIRECTORY`.

The owner holds the other end of stdin and never writes. The kernel closes it when the owner ends, kill -9 included.
After an orderly end there is nothing left to do.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.sandbox.stack.state import StateDirectory

_END_S = 60.0


@contextmanager
def watched(directory: Path) -> Iterator[None]:
    """Ends what the state directory names, once the calling process is gone."""
    watcher = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", __name__, str(directory)],
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
        watcher.stdin.close()
        watcher.wait(_END_S)


def main() -> None:
    directory = Path(sys.argv[1])
    sys.stdin.buffer.read()
    # The directory itself may be gone with an owner that ended well.
    if directory.is_dir():
        StateDirectory(directory).end()


if __name__ == "__main__":
    main()

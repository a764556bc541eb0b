"""Runs a module that must not outlive its parent: `python -m services.processes.leash PARENT MODULE ARGUMENT...`.

Linux kills the process when the parent is gone, kill -9 included. Elsewhere it runs without that guarantee, and a
parent that stops in an orderly way still ends it.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the call above.
    if os.getppid() != parent:
        sys.exit(1)
    sys.argv[:] = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

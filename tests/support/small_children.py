"""Small modules as children of a supervisor."""

from pathlib import Path

from services.processes.supervisor import ChildSpec

# Notes its pid when it starts, its name when it is told to stop.
LOYAL = """
import os, signal, sys, time
from pathlib import Path

name, directory = sys.argv[1], Path(sys.argv[2])

def stop(*_):
    with (directory / "stopped").open("a") as order:
        order.write(name + "\\n")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
with (directory / name).open("a") as pids:
    pids.write(f"{os.getpid()}\\n")
while True:
    signal.pause()
"""
FAILING = """
import sys
from pathlib import Path

with (Path(sys.argv[2]) / sys.argv[1]).open("a") as starts:
    starts.write("started\\n")
sys.exit(int(sys.argv[3]))
"""


class Children:
    """Small modules as children; what they note is in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "loyal_child.py").write_text(LOYAL)
        (directory / "failing_child.py").write_text(FAILING)

    def loyal(self, name: str) -> ChildSpec:
        return self._spec(name, "loyal_child", name, str(self.directory))

    def failing(self, name: str, code: int) -> ChildSpec:
        return self._spec(name, "failing_child", name, str(self.directory), str(code))

    def notes(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().split() if path.exists() else []

    def _spec(self, name: str, *arguments: str) -> ChildSpec:
        return ChildSpec(name=name, arguments=arguments, environment={"PYTHONPATH": str(self.directory)})

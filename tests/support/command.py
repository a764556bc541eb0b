"""Runs the console script as a person would: another process, another directory, only the settings given."""

import subprocess
import sys
from pathlib import Path

_WITHIN_S = 60.0


def run_coursepay(*arguments: str, directory: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`settings` without their prefix."""
    coursepay = Path(sys.executable).with_name("coursepay")
    environment = {f"COURSEPAY_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [coursepay, *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )

"""Prometheus' own tool."""

import subprocess

import pytest


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """What it prints; a missing promtool fails with what to do."""
    try:
        done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.fail("promtool is missing: sudo bash deploy/apt-packages.sh", pytrace=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said

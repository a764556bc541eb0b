import re
import subprocess

from tests.support.tidy import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE)
PROMISED = {"demo", "test", "up", "down", "build", "check", "help", "test-docker", "test-tools"}


def make(*arguments: str) -> str:
    # `make test` makes this one a make inside of a make, which tells of every directory it enters.
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target_with_its_sentence() -> None:
    listed = dict(line.split(maxsplit=1) for line in make("help").splitlines())

    assert set(listed) == set(TARGETS)
    assert all(len(sentence) > 10 for sentence in listed.values())


def test_make_alone_is_help() -> None:
    assert make() == make("help")


def test_the_promised_targets_are_there() -> None:
    assert set(TARGETS) >= PROMISED


def test_every_target_is_phony_so_that_no_file_hides_it() -> None:
    (phony,) = re.findall(r"^\.PHONY: (?!\$)(.*)", MAKEFILE, re.MULTILINE)

    assert sorted(phony.split()) == sorted(TARGETS)

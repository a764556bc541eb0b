"""The committed alert rules with shorter times, so that a test need not wait for six hours.

Four mechanical steps, and nothing else differs:
- a `for:` is divided by FASTER;
- a range like [6h] is divided by FASTER too, but is never shorter than RANGE_MIN_S, which holds several scrapes;
- how far back a rule looks (`offset 10m`, `[1d:5m]`) becomes RANGE_MIN_S;
- an age below AGE_MAX_S that a rule compares with (`..._age_seconds) > 60`, `time() - ... > 30`) is divided by
  AGES_FASTER.
Longer ages, shares and counts stay. The true times are tested by deploy/prometheus/tests/ with promtool.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.tidy import ROOT

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
FASTER = 720
RANGE_MIN_S = 10
AGES_FASTER = 10
AGE_MAX_S = 600
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_BACK = re.compile(r"\[\d+[smhd]:\d+[smhd]\]|offset \d+[smhd]")
_OF_AN_AGE = re.compile(r"(?:_age|_overdue|_timestamp)_seconds\b")
_LIMIT = re.compile(r"> (\d+)\s*\Z")


def write_faster_rules(directory: Path) -> str:
    """The pattern of the files, as a configuration of Prometheus names them."""
    directory.mkdir()
    for path in RULES:
        rules = yaml.safe_load(path.read_text())
        for rule in _rules_in(rules):
            rule["expr"] = faster(rule["expr"])
            if "for" in rule:
                rule["for"] = f"{round(_seconds(rule['for']) * 1000 / FASTER)}ms"
        (directory / path.name).write_text(yaml.safe_dump(rules))
    return str(directory / "*.yml")


def faster(expression: str) -> str:
    """A rule's expression with shorter ranges and ages."""

    def shorter(found: re.Match[str]) -> str:
        return f"[{max(RANGE_MIN_S, round(_seconds(found[1] + found[2]) / FASTER))}s]"

    def nearer(found: re.Match[str]) -> str:
        return f"[{RANGE_MIN_S}s:1s]" if found[0].startswith("[") else f"offset {RANGE_MIN_S}s"

    expression = _BACK.sub(nearer, _RANGE.sub(shorter, expression))
    if _OF_AN_AGE.search(expression) is None:
        return expression

    def younger(found: re.Match[str]) -> str:
        age_s = int(found[1])
        return f"> {age_s / AGES_FASTER if age_s < AGE_MAX_S else age_s:g}"

    return _LIMIT.sub(younger, expression)


def all_alerts() -> set[str]:
    return {rule["alert"] for path in RULES for rule in _rules_in(yaml.safe_load(path.read_text()))}


def _rules_in(rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in rules["groups"] for rule in group["rules"]]


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]

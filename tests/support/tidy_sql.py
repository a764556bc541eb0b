"""Which tables and functions of sql/ a module names in its SQL."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from tests.support.tidy import ROOT, Module

_CREATED = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE|VIEW|MATERIALIZED\s+VIEW|FUNCTION|SEQUENCE|PROCEDURE)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?(?:coursepay\.)?([a-z_][a-z0-9_]*)",
    re.IGNORECASE,
)
_FUNCTION = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\s+([a-z_][a-z0-9_]*)", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\b(?:SELECT\s|INSERT\s+INTO|UPDATE\s+\w+|DELETE\s+FROM|TRUNCATE\s|COPY\s+\w+|LOCK\s+TABLE|CALL\s+\w+|"
    r"(?:CREATE|ALTER|DROP)\s+(?:TABLE|FUNCTION|TRIGGER|INDEX|ROLE|DATABASE|SEQUENCE|SCHEMA)\b)"
)
_RELATION = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY|USING|ON)\s+(?:ONLY\s+)?(?:LATERAL\s+)?([a-z_][a-z0-9_]*)"
)


@lru_cache(maxsize=1)
def relations() -> frozenset[str]:
    """Every table, view, sequence and function that sql/ creates."""
    return _created(_CREATED)


@lru_cache(maxsize=1)
def functions() -> frozenset[str]:
    return _created(_FUNCTION)


def _created(pattern: re.Pattern[str]) -> frozenset[str]:
    return frozenset(name for path in (ROOT / "sql").glob("*.sql") for name in pattern.findall(path.read_text()))


def touched(module: Module) -> frozenset[str] | None:
    """The relations that the SQL in a module names; None for a module without SQL."""
    statements = list(_statements(module))
    if not statements:
        return None
    named = {name for text in statements for name in _RELATION.findall(text)}
    called = {name for text in statements for name in re.findall(r"([a-z_][a-z0-9_]*)\s*\(", text)}
    return frozenset((named & relations()) | (called & functions()))


def _statements(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if _STATEMENT.search(text):
            yield text

"""What tests/test_tidy.py says about single nodes of a syntax tree."""

import ast
import re

from tests.support.tidy import Module, dotted, words

MONEY = frozenset({"amount", "minor", "money", "price", "refunded"})
_NAIVE = frozenset({"datetime.utcnow", "datetime.utcfromtimestamp", "datetime.today", "datetime.datetime.utcnow"})
# Positional arguments from which on a zone is among them.
_ZONED_FROM = {"datetime.now": 1, "datetime.datetime.now": 1, "datetime.fromtimestamp": 2, "datetime": 8}


def is_inexact_money(node: ast.AST) -> bool:
    match node:
        case ast.arg(arg=name, annotation=ast.expr() as annotation):
            return bool(words(name) & MONEY) and "float" in ast.dump(annotation)
        case ast.AnnAssign(target=target, annotation=annotation):
            return _is_money(target) and "'float'" in ast.dump(annotation)
        case ast.Call(func=ast.Name(id="float"), args=[value]):
            return _is_money(value)
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            return _is_money(left) or _is_money(right)
    return False


def _is_money(node: ast.AST) -> bool:
    return bool(words(dotted(node).split(".")[-1]) & MONEY)


def is_naive(call: ast.Call, name: str) -> bool:
    if name in _NAIVE:
        return True
    return name in _ZONED_FROM and len(call.args) < _ZONED_FROM[name] and not _has_zone(call)


def _has_zone(call: ast.Call) -> bool:
    return any(keyword.arg in {"tz", "tzinfo", None} for keyword in call.keywords)


def is_explained(module: Module, number: int) -> bool:
    beside = module.text.splitlines()[number - 2 : number + 1]
    return any(re.search(r"(?:^|\s)# (?:noqa: BLE001 - )?\w+ \w+", line) for line in beside)


def re_raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))

"""`--where EXPR`: a condition on a dead letter's headers and decoded value, in a small part of Python's own syntax.

The text is parsed, never run: each node of its tree must be on the allow-list below, and is turned into a closure.
There is no arithmetic and no call but four methods of strings, so that nothing can take long or reach anything.
What is missing is None, and a comparison of values that cannot be ordered is false.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from services.operations.replay.refusals import BadFilterError

CHARACTERS_MAX = 1_000
_NODES_MAX = 200
Names = Mapping[str, Any]
Evaluate = Callable[[Names], Any]
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
}
_METHODS: Mapping[str, int] = {"startswith": 1, "endswith": 1, "lower": 0, "upper": 0}


def compile_where(text: str, known: frozenset[str]) -> Callable[[Names], bool]:
    """`known`: the names that an expression may use; other names are fields of the event. Raises BadFilterError."""
    if len(text) > CHARACTERS_MAX:
        raise BadFilterError(f"--where has more than {CHARACTERS_MAX} characters")
    try:
        with warnings.catch_warnings():
            # An invalid escape is a warning to Python; here it is only a text to compare with.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    # Null bytes are a ValueError; what is nested too deep for the parser is one of the last two.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadFilterError(f"--where is no expression: {str(error).splitlines()[0]}") from None
    if sum(1 for _ in ast.walk(tree)) > _NODES_MAX:
        raise BadFilterError(f"--where has more than {_NODES_MAX} parts")
    evaluate = _compile(tree.body, known)
    return lambda names: bool(evaluate(names))


def _compile(node: ast.expr, known: frozenset[str]) -> Evaluate:  # noqa: C901, PLR0911 - one case per allowed node
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_compile(value, known) for value in values]
            return _all(parts) if isinstance(op, ast.And) else _any(parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compile(operand, known)
            return lambda names: not inner(names)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return lambda _names: -number
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            operands = [_compile(side, known) for side in (left, *comparators)]
            return _compare([_COMPARISONS[type(op)] for op in ops], operands)
        case ast.Constant(value=str() | int() | float() | None as constant):
            return lambda _names: constant
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            items = [_compile(element, known) for element in elements]
            return lambda names: [item(names) for item in items]
        case ast.Name(id=name):
            return _name(name, known)
        case ast.Attribute(value=owner, attr=attribute):
            return _member(_compile(owner, known), _public(attribute))
        case ast.Subscript(value=owner, slice=ast.Constant(value=str() | int() as index)):
            return _member(_compile(owner, known), index)
        case ast.Call(func=ast.Attribute(value=owner, attr=method), args=arguments, keywords=[]):
            return _method(method, _compile(owner, known), [_compile(argument, known) for argument in arguments])
    raise BadFilterError(f"--where does not allow {type(node).__name__}: {ast.unparse(node)[:60]!r}; {_HELP}")


def _name(name: str, known: frozenset[str]) -> Evaluate:
    if _public(name) in known:
        return lambda names: names.get(name)
    return lambda names: names["event"].get(name)


def _public(name: str) -> str:
    if name.startswith("_"):
        raise BadFilterError(f"--where does not allow names that begin with an underscore: {name[:60]!r}")
    return name


def _member(owner: Evaluate, key: str | int) -> Evaluate:
    def get(names: Names) -> Any:  # noqa: ANN401 - any JSON value
        value = owner(names)
        if isinstance(value, Mapping):
            return value.get(key)
        if isinstance(value, list) and isinstance(key, int):
            return value[key] if -len(value) <= key < len(value) else None
        return None

    return get


def _method(name: str, owner: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    if _METHODS.get(name) != len(arguments):
        raise BadFilterError(f"--where does not allow the call of {name[:60]!r}; {_HELP}")

    def call(names: Names) -> Any:  # noqa: ANN401 - str or bool
        value, given = owner(names), [argument(names) for argument in arguments]
        if isinstance(value, str) and all(isinstance(one, str) for one in given):
            return getattr(value, name)(*given)
        return None

    return call


def _compare(comparisons: list[Callable[[Any, Any], Any]], operands: list[Evaluate]) -> Evaluate:
    def evaluate(names: Names) -> bool:
        values = [operand(names) for operand in operands]
        try:
            return all(
                comparison(left, right)
                for comparison, left, right in zip(comparisons, values[:-1], values[1:], strict=True)
            )
        except TypeError:
            return False

    return evaluate


def _all(parts: list[Evaluate]) -> Evaluate:
    return lambda names: all(part(names) for part in parts)


def _any(parts: list[Evaluate]) -> Evaluate:
    return lambda names: any(part(names) for part in parts)


_HELP = "allowed are comparisons, in, and, or, not, constants, names, a.b, a['b'] and the methods " + ", ".join(
    _METHODS
)

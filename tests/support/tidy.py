"""Reading the repository as text and as syntax trees, for tests/test_tidy.py."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Made by tools or at run time, never committed.
_MADE = frozenset({".git", ".venv", ".coursepay", "__pycache__", "build", "dist", "target", ".hypothesis"})
_MADE_SUFFIXES = ("_cache", ".egg-info")


@dataclass(frozen=True)
class Module:
    """One Python file. `name` is its path without suffix, like `services/common/codec`."""

    path: Path

    @cached_property
    def name(self) -> str:
        return self.path.relative_to(ROOT).with_suffix("").as_posix()

    @cached_property
    def package(self) -> str:
        """`common` for services/common/codec.py, `cli` for services/cli.py, `` outside services/."""
        parts = self.name.split("/")
        return parts[1] if parts[0] == "services" and len(parts) > 1 else ""

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    def at(self, node: ast.AST) -> str:
        return f"{self.name}.py:{getattr(node, 'lineno', 1)}"

    def line(self, node: ast.AST) -> str:
        return self.text.splitlines()[getattr(node, "lineno", 1) - 1]


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """Every file that is, or could be, committed."""
    return tuple(sorted(_walk(ROOT)))


def _walk(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in _MADE or path.name.endswith(_MADE_SUFFIXES):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


@lru_cache(maxsize=1)
def modules() -> tuple[Module, ...]:
    return tuple(Module(path) for path in files() if path.suffix == ".py")


def service_modules() -> tuple[Module, ...]:
    return tuple(module for module in modules() if module.name.startswith("services/"))


def imported(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """(where, absolute dotted name) of everything that a module imports, functions included."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folders = module.name.split("/")[: -node.level] if node.level else []
            base = ".".join([*folders, node.module or ""]).strip(".")
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)


def calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """(call, dotted name as written) of each call of a plain name or attribute."""
    for node in module.nodes:
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def dotted(node: ast.AST) -> str:
    """`a.b.c` as written, or `` for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def identifiers(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name that a module defines or uses, and its string constants; not its docstrings and comments."""
    prose = _docstrings(module)
    for node in module.nodes:
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield node, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node, name
            case ast.keyword(arg=str(name)):
                yield node.value, name
            case ast.Constant(value=str(text)) if node not in prose:
                yield node, text


def _docstrings(module: Module) -> set[ast.AST]:
    return {node.value for node in module.nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}


def words(name: str) -> set[str]:
    """snake_case, camelCase and sentences as lower-case words in the singular."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {re.sub(r"(?<=[a-z])s$", "", word.lower()) for word in re.findall(r"[A-Za-z]+", spaced)}

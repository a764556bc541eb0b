"""The limits of the house, each with its reason in the message. A limit is there to start a thought: a file that
hits it usually has a second idea in it.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.support import tidy_lists as lists
from tests.support.tidy import (
    ROOT,
    Module,
    calls,
    dotted,
    files,
    identifiers,
    imported,
    modules,
    service_modules,
    words,
)
from tests.support.tidy_rules import is_explained, is_inexact_money, is_naive, re_raises
from tests.support.tidy_sql import touched

FILE_LINES_MAX = 250
FUNCTION_LINES_MAX = 70
LINE_CHARACTERS_MAX = 120
FOLDER_MODULES_MAX = 18
LINES_OF = {".py", ".sql", ".sh"}


def fail_for(findings: Iterable[str], reason: str) -> None:
    found = sorted(findings)
    if found:
        pytest.fail(f"{reason}\n  " + "\n  ".join(found), pytrace=False)


def test_a_file_holds_one_idea() -> None:
    fail_for(
        (f"{module.name}.py: {len(module.text.splitlines())}" for module in modules() if _is_long(module)),
        f"more than {FILE_LINES_MAX} lines; find the second idea in it and give that a file of its own:",
    )


def _is_long(module: Module) -> bool:
    return len(module.text.splitlines()) > FILE_LINES_MAX


def test_a_function_fits_on_a_screen() -> None:
    fail_for(
        (
            f"{module.at(node)} {node.name}: {lines}"
            for module in modules()
            for node in module.nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
            and not _is_catalogue(module, node)
        ),
        f"more than {FUNCTION_LINES_MAX} lines; keep the control flow, move the leaves below it:",
    )


def _is_catalogue(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """The metric catalogue is a table in the shape of a constructor: one entry per instrument, no control flow."""
    return module.name == "services/common/metrics" and node.name == "__init__"


def test_lines_are_short() -> None:
    fail_for(
        (
            f"{path.relative_to(ROOT)}:{number}"
            for path in files()
            if path.suffix in LINES_OF
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if len(line.split("  # noqa: ")[0]) > LINE_CHARACTERS_MAX
        ),
        f"lines of more than {LINE_CHARACTERS_MAX} characters; two windows must fit beside each other:",
    )


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    folders = Counter(module.name.rpartition("/")[0] for module in service_modules() if "__" not in module.name)
    fail_for(
        (f"{folder} has {modules} modules" for folder, modules in folders.items() if modules > FOLDER_MODULES_MAX),
        f"a folder has {FOLDER_MODULES_MAX} modules at most. In common and engine: what only one service needs belongs"
        " to that service. Elsewhere there is a second idea, which gets a folder of its own:",
    )


def test_services_reach_each_other_through_events_only() -> None:
    fail_for(
        (
            f"{module.at(node)} imports {name}"
            for module in service_modules()
            for node, name in imported(module)
            if name.startswith("services.") and not _may_import(module.package, name.split(".")[1])
        ),
        "services do not import each other (operations, sandbox and the command line may); engine imports common,"
        " and common imports neither:",
    )


def _may_import(package: str, other: str) -> bool:
    if package in lists.IMPORTS_EVERYTHING or other == package:
        return True
    return other in {"common": set(), "engine": {"common"}}.get(package, {"common", "engine"})


def test_the_command_line_is_imported_by_nobody_but_itself() -> None:
    fail_for(
        (
            f"{module.at(node)} imports {name}"
            for module in service_modules()
            if module.package not in {"commands", "cli"}
            for node, name in imported(module)
            if name.startswith(("services.commands", "services.cli"))
        ),
        "commands call the services, never the other way round:",
    )


def test_engine_and_common_know_no_business() -> None:
    fail_for(
        (
            f"{module.at(node)} says {name!r}"
            for module in service_modules()
            if module.package in {"common", "engine"} and module.name not in lists.NOUNS_ALLOWED_IN
            for node, name in identifiers(module)
            if words(name) & lists.NOUNS and name not in lists.NOT_NOUNS
        ),
        "the engine and the edges know records and events; what knows this word belongs to a service:",
    )


def test_one_module_reads_the_environment() -> None:
    fail_for(
        (
            f"{module.at(node)}"
            for module in service_modules()
            if module.name != "services/common/settings"
            for node in module.nodes
            if dotted(node) in {"os.environ", "os.getenv", "os.environb", "environ"}
        ),
        "only services/common/settings.py reads the environment; everything else gets the value passed"
        " (child_environment() is for child processes):",
    )


def test_one_place_knows_the_kafka_client() -> None:
    fail_for(
        (
            f"{module.at(node)}"
            for module in service_modules()
            if module.name not in lists.KAFKA_MODULES
            for node, name in imported(module)
            if name.split(".")[0] == "confluent_kafka"
        ),
        "librdkafka's rules (who may touch the handle, when it must be polled) are kept in the listed modules only:",
    )


def test_nobody_sleeps_in_a_thread() -> None:
    fail_for(
        (module.at(call) for module in modules() for call, name in calls(module) if name == "time.sleep"),
        "time.sleep blocks an event loop in a service and hides a condition in a test; wait for the condition:",
    )


def test_services_log_and_only_the_command_line_prints() -> None:
    fail_for(
        (module.at(call) for module in modules() for call, name in calls(module) if name in {"print", "pprint"}),
        "services log through structlog, commands write through rich or typer:",
    )


def test_money_is_counted_in_whole_minor_units() -> None:
    fail_for(
        (module.at(node) for module in modules() for node in module.nodes if is_inexact_money(node)),
        "an amount is an int of minor units; a float loses paise:",
    )


def test_every_time_has_a_zone() -> None:
    fail_for(
        (
            module.at(call)
            for module in modules()
            for call, name in calls(module)
            if is_naive(call, name) and "# noqa: DTZ" not in module.line(call)
        ),
        "a datetime without a zone means another moment on another machine; pass tz or tzinfo:",
    )


def test_whoever_catches_everything_says_why() -> None:
    fail_for(
        (
            f"{module.at(node)}"
            for module in service_modules()
            for node in module.nodes
            if isinstance(node, ast.ExceptHandler)
            and (node.type is None or dotted(node.type) in {"Exception", "BaseException"})
            and not re_raises(node)
            and not is_explained(module, node.lineno)
        ),
        "a handler that swallows everything needs its reason on its line or on one beside it:",
    )


def test_sql_is_written_where_its_tables_are_listed() -> None:
    written = {module.name: tables for module in service_modules() if (tables := touched(module)) is not None}
    fail_for(
        (
            f"{name} touches {sorted(tables - lists.TABLES.get(name, frozenset()))}"
            for name, tables in written.items()
            if name not in lists.TABLES or not tables <= lists.TABLES[name]
        ),
        "SQL belongs into sql/ and into the modules of tests/support/tidy_lists.py, which names their tables:",
    )
    fail_for(lists.TABLES.keys() - written.keys(), "listed for SQL, but has none any more; take it off the list:")


def test_nothing_is_put_off() -> None:
    later = re.compile(r"#\s*(?:TODO|FIXME|XXX|HACK)\b")
    fail_for(
        (f"{m.name}.py: {found[0]}" for m in modules() if (found := later.findall(m.text))),
        "what is left for later is not in the tree:",
    )


def test_no_test_is_skipped() -> None:
    skipping = {f"pytest.{name}" for name in ("skip", "xfail", "importorskip")}
    skipping |= {f"pytest.mark.{name}" for name in ("skip", "skipif", "xfail")}
    fail_for(
        (
            module.at(node)
            for module in modules()
            if module.name not in lists.SKIPS_ALLOWED_IN
            for node in module.nodes
            if dotted(node) in skipping
        ),
        "an absent server or tool fails the run with a sentence that says what to install; nothing is skipped:",
    )

"""The console script `coursepay`: one module of services/commands/ per command."""

import sys

import typer

from services.commands import (
    assignments,
    demo,
    dlq,
    import_data,
    keys,
    migrate,
    repair,
    run,
    sandbox,
    schemas,
    seed,
    settings,
    stack,
    token,
    topics,
    up,
)
from services.common.errors import ConfigurationError
from services.common.runtime import EXIT_USAGE

app = typer.Typer(
    name="coursepay",
    help="Turns a student's payment into a course with a trainer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(up.up)
app.add_typer(stack.app, name="stack")
app.add_typer(dlq.app, name="dlq")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(schemas.app, name="schemas")
app.command()(migrate.migrate)
app.command()(seed.seed)
app.command()(token.token)
app.add_typer(keys.app, name="keys")
app.add_typer(assignments.app, name="assignments")
app.add_typer(repair.app, name="repair")
app.add_typer(import_data.app, name="import")
app.command()(run.run)
app.command()(settings.settings)
app.add_typer(topics.app, name="topics")


def main() -> None:
    """A wrong setting or a missing part is one sentence on stderr and exit code 2."""
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_USAGE) from None


if __name__ == "__main__":
    main()

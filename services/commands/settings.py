"""`coursepay settings`: every setting, its value and its default."""

from typing import Annotated, Any

import orjson
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from services.common.settings import PREFIX, Settings

_MASK = "********"


def settings(*, json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False) -> None:
    """Print every environment variable with its value and its default; secrets are masked."""
    chosen = Settings.from_environment()
    rows = [
        {
            "name": PREFIX + name.upper(),
            "value": _shown(getattr(chosen, name)),
            "default": _shown(field.default),
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]
    if json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(title="Settings", title_justify="left", pad_edge=False)
    table.add_column("variable", no_wrap=True)
    for column in ("value", "default", "what it is"):
        table.add_column(column, overflow="fold")
    for row in rows:
        changed = "bold" if row["value"] != row["default"] else None
        table.add_row(row["name"], row["value"], row["default"], row["description"], style=changed)
    Console(markup=False).print(table)


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a setting may be
    if isinstance(value, SecretStr):
        return _MASK if value.get_secret_value() else ""
    return "" if value is None else str(value)

"""`coursepay token`: a token for trying out the API, signed with the state directory's development key."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.common.validation import is_id
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import issue_token

_MINUTES_MAX = 30 * 24 * 60


def token(
    role: Annotated[list[Role], typer.Option(help="may be given several times")],
    subject: Annotated[str, typer.Option(help="the student's, trainer's or staff member's id")],
    minutes: Annotated[int, typer.Option(min=1, max=_MINUTES_MAX, help="how long it is valid")] = 24 * 60,
) -> None:
    """Print a token that a gateway of the same state directory accepts. For development only."""
    if not is_id(subject):
        raise ConfigurationError("--subject must be 1 to 64 characters of A-Z a-z 0-9 _ -")
    made = issue_token(Settings.from_environment(), subject=subject, roles=role, lifetime=timedelta(minutes=minutes))
    Console(soft_wrap=True, highlight=False, markup=False).print(made)

"""`coursepay sandbox`: outside services to try things against; `sandbox env`: the settings that point to them;
`sandbox buy`: a purchase.
"""

import asyncio
import shlex
from typing import Annotated

import typer
from rich.console import Console

from services.commands.purchase import buy
from services.common.errors import ConfigurationError
from services.common.runtime import run_service
from services.common.settings import Settings
from services.sandbox.accounts import Accounts, sandbox_accounts, sandbox_environment
from services.sandbox.failures import CallFailures, Failures, WebhookFailures
from services.sandbox.server import serve_sandbox

PORT = 8090
app = typer.Typer(help="A payment provider, a course service and a push service to try things against.")
app.command()(buy)
Rate = Annotated[float, typer.Option(min=0, max=1)]


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = PORT,
    host: Annotated[str, typer.Option(help="who may call; 0.0.0.0: other containers too")] = "127.0.0.1",
    gateway_url: Annotated[str | None, typer.Option(help="who gets the webhooks; default: by the settings")] = None,
    provider_errors: Rate = 0,
    course_errors: Rate = 0,
    push_errors: Rate = 0,
    webhooks_twice: Rate = 0,
    seed: Annotated[int, typer.Option(help="of the injected failures")] = 1,
) -> None:
    """Serve them until interrupted. PUT /control/failures changes the failures while it runs."""
    if context.invoked_subcommand is not None:
        return
    failures = Failures(
        provider=CallFailures(error_rate=provider_errors),
        course=CallFailures(error_rate=course_errors),
        push=CallFailures(error_rate=push_errors),
        webhook=WebhookFailures(twice_rate=webhooks_twice),
    )

    async def run(settings: Settings, stop: asyncio.Event) -> None:
        accounts = sandbox_accounts(settings, gateway_url)
        async with serve_sandbox(accounts, host=host, port=port, failures=failures, seed=seed) as bound:
            _print_addresses(accounts, f"http://127.0.0.1:{bound}")
            await stop.wait()

    raise typer.Exit(run_service("sandbox", run))


@app.command()
def env(port: Annotated[int, typer.Option(min=1, max=65535)] = PORT) -> None:
    """Print export lines for the services that shall use the sandbox on this port."""
    settings = Settings.from_environment()
    if settings.production:
        raise ConfigurationError("the sandbox's keys are public; COURSEPAY_ENVIRONMENT=production refuses them")
    values = sandbox_environment(sandbox_accounts(settings), f"http://127.0.0.1:{port}")
    for name, value in values.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _print_addresses(accounts: Accounts, base_url: str) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold]sandbox[/bold]  {base_url}")
    console.print(f"  razorpay   POST {base_url}/v1/orders   pay at {base_url}/checkout/ORDER_ID")
    console.print(f"  stripe     POST {base_url}/v1/payment_intents   pay at {base_url}/checkout/INTENT_ID/pay")
    console.print(f"  webhooks   {accounts.razorpay.webhook_url or 'nowhere'}")
    console.print(f"  courses    GET {base_url}/courses/course-0001")
    console.print(f"  push       POST {base_url}/v1/messages   count at {base_url}/control/push")
    console.print(f"  traces     POST {base_url}/v1/traces (OTLP)   see {base_url}/control/traces/TRACE_ID")
    console.print(f"  failures   GET, PUT {base_url}/control/failures")

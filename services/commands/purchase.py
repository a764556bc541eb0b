"""`coursepay sandbox buy`: a purchase of a system that runs beside a sandbox, from the order to its trace."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import aiohttp
import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings
from services.gateway_api.callers.roles import Role
from services.gateway_api.callers.tokens import issue_token
from services.sandbox.catalogue import TIME_ZONE
from services.sandbox.demo.browser import OrderRefusedError
from services.sandbox.purchase import Buyer, Purchase, StuckPurchaseError

_TOKEN_LIFETIME = timedelta(minutes=10)
Json = Mapping[str, Any]


def buy(
    *,
    gateway_url: Annotated[str, typer.Option(help="where the gateway listens")] = "http://127.0.0.1:8080",
    sandbox_url: Annotated[str, typer.Option(help="where the sandbox listens")] = "http://127.0.0.1:8090",
    within: Annotated[float, typer.Option(min=1, help="seconds that each step may take")] = 60,
    trace: Annotated[bool, typer.Option(help="wait for the spans too; needs OTEL_EXPORTER_OTLP_ENDPOINT")] = True,
) -> None:
    """Order, pay and confirm as a new student; print the trainer and the trace. Exit code 1 if it sticks."""
    student = f"student-{secrets.token_hex(4)}"
    token = issue_token(Settings.from_environment(), subject=student, roles=[Role.STUDENT], lifetime=_TOKEN_LIFETIME)
    buyer = Buyer(gateway_url=gateway_url, sandbox_url=sandbox_url, student=student, token=token, within_s=within)
    console = Console(highlight=False, soft_wrap=True)
    try:
        asyncio.run(_buy(buyer, console, with_trace=trace))
    except (OrderRefusedError, StuckPurchaseError, aiohttp.ClientError, TimeoutError) as error:
        console.print(f"[red]stuck[/red]     {escape(str(error) or type(error).__name__)}")
        raise typer.Exit(EXIT_FAILED) from None


async def _buy(buyer: Buyer, console: Console, *, with_trace: bool) -> None:
    purchase = await buyer.buy()
    _print_purchase(console, purchase)
    if with_trace:
        spans = await buyer.trace_of(purchase)
        console.print(f"[bold]trace[/bold]     {purchase.trace_id}")
        console.print(tree_of(spans))


def _print_purchase(console: Console, purchase: Purchase) -> None:
    payment, allocation = purchase.payment, purchase.payment["allocation"]
    whole, hundredths = divmod(payment["amountMinor"], 100)
    amount = f"{whole:,}.{hundredths:02} {payment['currency']}"
    console.print(
        f"[bold]paid[/bold]      {amount} for {payment['orderId']}, {payment['status']}"
        f" {purchase.confirmed_ms:.0f} ms after the callback"
    )
    if allocation["trainerId"] is None:
        console.print(f"[bold]trainer[/bold]   none yet: {allocation['status']}, {allocation['reason']}")
        return
    first = datetime.fromisoformat(purchase.sessions[0]["startsAt"]).astimezone(ZoneInfo(TIME_ZONE))
    console.print(
        f"[bold]trainer[/bold]   {allocation['trainerId']}, {allocation['status']}:"
        f" {len(purchase.sessions)} sessions, the first on {first:%Y-%m-%d %H:%M}"
    )


def tree_of(spans: Sequence[Json]) -> Tree:
    """Below each span what it caused; on top those whose cause is outside, as the browser's is."""
    known = {span["span_id"] for span in spans}
    top = Tree("browser", hide_root=True)
    _grow(top, [span for span in spans if span["parent_id"] not in known], spans)
    return top


def _grow(branch: Tree, children: Iterable[Json], spans: Sequence[Json]) -> None:
    for span in children:
        took_ms = (span["ended_ns"] - span["started_ns"]) / 1e6
        outcome = span["attributes"].get("coursepay.outcome", "")
        grown = branch.add(escape(f"{span['name']}  {span['service']}  {took_ms:.0f} ms  {outcome}".rstrip()))
        _grow(grown, [one for one in spans if one["parent_id"] == span["span_id"]], spans)

"""The ledger for people: what went in, what came out, what was retried, and whether anything is missing."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from services.sandbox.ledger.figures import Ledger, percentile
from services.sandbox.ledger.violations import Check

_OFFENDERS_MAX = 20
_QUESTIONS = {
    Check.LOST: "lost",
    Check.DUPLICATED: "duplicated",
    Check.DOUBLE_BOOKED: "double-booked",
    Check.DIFFERENT: "different copies",
    Check.EARLY: "retried too early",
    Check.UNFINISHED: "unfinished",
}


def print_ledger(console: Console, ledger: Ledger) -> None:
    for table in (_stages(ledger), _retries(ledger), _dead_letters(ledger), _pending(ledger), _checks(ledger)):
        if table.row_count:
            console.print(Padding(table, (1, 0, 0, 0)))
    for line in _offenders(ledger):
        console.print(line, highlight=False)


def _stages(ledger: Ledger) -> Table:
    counts = ledger.counts
    table = _table("From payment to course", "stage", "count", "")
    refused = f"{counts.forged_refused} of {counts.forged} forged callbacks refused" if counts.forged else ""
    latency = f"p50 {counts.confirm_p50_ms:.0f} ms, p99 {counts.confirm_p99_ms:.0f} ms from the intended send time"
    table.add_row("orders placed", f"{counts.payments:,}", refused)
    table.add_row("payments confirmed", f"{counts.confirmed:,}", latency)
    table.add_row("purchases", f"{counts.purchases:,}", f"and {counts.dead_lettered} dead-lettered")
    table.add_row("trainers assigned", f"{counts.allocations_approved:,}", f"{counts.sessions:,} sessions booked")
    table.add_row("waiting for a trainer", f"{counts.allocations_pending:,}", "")
    table.add_row("notifications pushed", f"{counts.notifications:,}", "")
    unusual = {status: count for status, count in ledger.answers.items() if status != 200}
    for status, count in sorted(unusual.items()):
        table.add_row(f"answers {status}", f"{count:,}", "asked again" if status in {0, 503} else "")
    return table


def _retries(ledger: Ledger) -> Table:
    table = _table("Retries, measured", "worker", "tier", "records", "late p50", "late p99", "earliest")
    for row in ledger.retries:
        late = row.late_ms
        shown = [percentile(late, 0.5), percentile(late, 0.99), min(late)] if late else []
        table.add_row(row.worker, row.tier, f"{row.records:,}", *[f"{value:+,.0f} ms" for value in shown])
    return table


def _dead_letters(ledger: Ledger) -> Table:
    table = _table("Dead letters", "worker", "kind", "cause", "records")
    for (worker, kind, cause), count in sorted(ledger.dead_letters.items()):
        table.add_row(worker, kind, cause, f"{count:,}")
    return table


def _pending(ledger: Ledger) -> Table:
    table = _table("Waiting for a trainer", "reason", "purchases")
    for reason, count in sorted(ledger.pending.items(), key=lambda item: -item[1]):
        table.add_row(reason, f"{count:,}")
    return table


def _checks(ledger: Ledger) -> Table:
    counts = ledger.counts.to_json()
    table = _table("Checks, from PostgreSQL and Kafka", "", "", "")
    table.show_header = False
    for check, question in _QUESTIONS.items():
        value = int(counts[check.value])
        table.add_row(question, f"{value:,}", "[green]ok[/green]" if value == 0 else "[bold red]FAILED[/bold red]")
    confirmed, purchases, dead = (int(counts[name]) for name in ("confirmed", "purchases", "dead_lettered"))
    verdict = "[green]ok[/green]" if confirmed == purchases + dead else "[bold red]FAILED[/bold red]"
    table.add_row("confirmed = purchases + dead-lettered", f"{confirmed:,} = {purchases:,} + {dead:,}", verdict)
    return table


def _offenders(ledger: Ledger) -> Iterator[str]:
    for violation in ledger.violations[:_OFFENDERS_MAX]:
        yield f"[red]{violation.check.value}[/red] {violation.order_id or '-'}: {violation.what}"
    if len(ledger.violations) > _OFFENDERS_MAX:
        yield f"... and {len(ledger.violations) - _OFFENDERS_MAX} more"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in columns:
        numeric = name in {"count", "records", "purchases", "late p50", "late p99", "earliest"}
        table.add_column(name, justify="right" if numeric else "left")
    return table

"""How plans and runs look: a table for people, one JSON document for programs, and the closing line."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.commands.dlq.session import console, print_json
from services.common.runtime import EXIT_OK
from services.operations.replay.choosing.plan import Plan
from services.operations.replay.refusals import EXIT_GUARD, EXIT_PARTIAL
from services.operations.replay.replaying import Report, Wish, items_of, report_json
from services.operations.replay.targets import ORIGIN, PARKED


def print_plan(plan: Plan, wish: Wish, *, rate: float, json: bool, file: Path | None) -> None:
    """What a replay would do; nothing was sent."""
    targets = Counter(item.target for item in items_of(plan, wish) if item.result == "planned")
    parked = 0 if wish.target == PARKED else targets[PARKED]
    sending = sum(targets.values())
    if json:
        print_json(
            {
                "run": None,
                "executed": False,
                "worker": plan.worker,
                "topic": plan.topic,
                "target": wish.target,
                "planned": len(plan.items),
                "replayed": 0,
                "skipped_done": plan.skipped_done,
                "parked": 0,
                "failed": 0,
                "back_in_dlq": 0,
                "to_send": sending - parked,
                "to_park": parked,
                "set_aside": dict(plan.set_aside),
                "estimate_s": round(sending / rate, 1),
                "plan_sha256": plan.sha256,
                "file": None if file is None else str(file),
                "filter": plan.chosen.to_json(),
            }
        )
        return
    out = console()
    table = Table(title=f"dry run: {plan.topic}", show_header=False)
    table.add_row("planned", str(len(plan.items)))
    table.add_row("done already, will be skipped", str(plan.skipped_done))
    for target, count in sorted(targets.items()):
        table.add_row(f"will go to {target}", str(count))
    for why, count in plan.set_aside.items():
        table.add_row(f"match, but left alone: {why}", str(count))
    table.add_row(f"takes at {rate:g}/s", f"{sending / rate:.0f} s")
    table.add_row("plan sha256", plan.sha256)
    out.print(table)
    if wish.target == ORIGIN:
        out.print("Every subscriber of the origin topics will get these records.", style="yellow")
    out.print(f"Nothing was sent. {_next(plan, file)}", markup=False, soft_wrap=True)


def print_report(report: Report, *, json: bool) -> int:
    """The exit code: 0 all is sent, 4 a guard tripped, 5 something is left or failed or is back."""
    if json:
        print_json(report_json(report))
    out = console(json=json)
    if report.ended.why is not None:
        out.print(f"{report.ended.state}: {report.ended.why}", style="bold red", markup=False)
    if report.counts.failed:
        out.print(f"`coursepay dlq verify {report.run.id}` says why {report.counts.failed} failed", markup=False)
    if report.remaining:
        out.print(f"go on with: coursepay dlq replay --resume {report.run.id} --execute", markup=False, soft_wrap=True)
    out.print(closing_line(report), markup=False, soft_wrap=True)
    if report.ended.state == "stopped":
        return EXIT_GUARD
    return EXIT_PARTIAL if report.remaining or report.counts.failed or report.counts.back_in_dlq else EXIT_OK


def closing_line(report: Report) -> str:
    """`run 7f3c.. purchase-worker.dlq: planned 412, replayed 398, ... plan sha256 ab12..`"""
    run, counts = report.run, report.counts
    decided = f" ({report.decided} decided since the plan)" if report.decided else ""
    parts = [
        f"planned {run.planned}",
        f"replayed {counts.replayed}",
        f"skipped-done {counts.skipped_done}{decided}",
        f"parked {counts.parked}",
        f"failed {counts.failed}",
        *([f"with another run {report.already}"] if report.already else []),
        *([f"remaining {report.remaining}"] if report.remaining else []),
        _watched(report),
        f"{report.rate:.1f}/s",
        f"plan sha256 {run.plan_sha256}",
    ]
    return f"run {run.id} {run.topic}: {', '.join(parts)}"


def _watched(report: Report) -> str:
    if report.seen is not None:
        return f"back-in-dlq {report.counts.back_in_dlq} after {report.watched_s:.0f} s"
    return f"back-in-dlq {report.counts.back_in_dlq} ({report.unseen})"


@contextmanager
def show_progress(out: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time left; the callable is told how many more are settled."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bars:
        task = bars.add_task(what, total=total)
        yield lambda records: bars.advance(task, records)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


def _next(plan: Plan, file: Path | None) -> str:
    if not plan.items:
        return "Nothing matches."
    what = f"--plan {file}" if file is not None else f"{plan.worker} with the same filters"
    return f"Send them with: coursepay dlq replay {what} --reason TEXT --execute"

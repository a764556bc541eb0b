"""`coursepay dlq`: find out why records were dead-lettered, replay them once it is fixed, prove that all arrived.

Exit codes: 0 ok, 1 a server is away, 2 usage, 3 refused, 4 a guard tripped (or the audit's chain is broken), 5 partial.
"""

import typer

from services.commands import dlq_audit, dlq_decide, dlq_look, dlq_replay, dlq_transfer

app = typer.Typer(help="Dead letters: look, plan, replay, decide, prove.", no_args_is_help=True)
app.command(name="ls")(dlq_look.ls)
app.command()(dlq_look.stats)
app.command()(dlq_look.show)
app.command()(dlq_replay.plan)
app.command()(dlq_replay.replay)
app.command()(dlq_decide.park)
app.command()(dlq_decide.discard)
app.command()(dlq_audit.audit)
app.command()(dlq_audit.verify)
app.command()(dlq_transfer.export)
app.command(name="import")(dlq_transfer.import_)

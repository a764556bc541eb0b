"""`coursepay dlq`: find out why records were dead-lettered, replay them once it is fixed, prove that all arrived.

Exit codes: 0 ok, 1 a server is away, 2 usage, 3 refused, 4 a guard tripped (or the audit's chain is broken), 5 partial.
"""

import typer

from services.commands.dlq import audit, decide, look, replay, transfer

app = typer.Typer(help="Dead letters: look, plan, replay, decide, prove.", no_args_is_help=True)
app.command(name="ls")(look.ls)
app.command()(look.stats)
app.command()(look.show)
app.command()(replay.plan)
app.command()(replay.replay)
app.command()(decide.park)
app.command()(decide.discard)
app.command()(audit.audit)
app.command()(audit.verify)
app.command()(transfer.export)
app.command(name="import")(transfer.import_)

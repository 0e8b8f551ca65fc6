"""`securefl plan`: what the parties agree on."""

from __future__ import annotations

import typer

from securefl.cli.options import ConfigArgument, JsonOption
from securefl.cli.screen import Screen
from securefl.report import Experiment, ExperimentConfig
from securefl.report.limits import limits
from securefl.session.disclosure import disclosures

app = typer.Typer(
    name="plan",
    help="What the parties agree on.",
    epilog="Example: securefl plan show securefl.toml",
    no_args_is_help=True,
)


@app.callback()
def _family() -> None:
    """Keep `plan` a family while it has one verb."""


@app.command(epilog="Example: securefl plan show securefl.toml")
def show(config: ConfigArgument, *, json: JsonOption = None) -> None:
    """Print the plan of an experiment: numbers, the reasons for them, and who would learn what."""
    screen = Screen(json)
    experiment = Experiment.prepare(ExperimentConfig.load(config))
    plan = experiment.private_plan or experiment.plan
    screen.line(str(plan))
    if experiment.private_plan is not None:
        screen.line("  `securefl run` trains beside it under the same protocol without noise, for comparison.")
    screen.title("Why")
    for reason in plan.parameters.explanation:
        screen.item(reason)
    screen.title("What a party sends")
    screen.line(f"  {plan.masked_bytes} bytes of masked values a round, beside keys, shares and signatures")
    screen.title("Who learns what")
    screen.table("what", "who", rows=[(row.what, row.who) for row in disclosures(plan)])
    screen.title("What is not protected")
    for limit in limits(plan):
        screen.item(limit)
    rows = [{"what": row.what, "who": row.who} for row in disclosures(plan)]
    screen.json({**plan.to_dict(), "disclosures": rows, "limits": limits(plan)})

"""`securefl plan`: what the parties agree on."""

from __future__ import annotations

import typer

from securefl.cli.options import ConfigArgument, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.searching import prepared
from securefl.plan import Plan
from securefl.report import ExperimentConfig
from securefl.report.limits import limits
from securefl.report.paillier_key import fresh_key
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
    settings = ExperimentConfig.load(config)
    experiment = prepared(settings, screen)
    plan = experiment.private_plan or experiment.plan
    screen.line(str(plan))
    if experiment.private_plan is not None:
        screen.line("  `securefl run` trains beside it under the same protocol without noise, for comparison.")
    if fresh_key(settings):
        screen.line("  The key was made for this view; each run makes another, unless paillier.key names a file.")
    screen.title("Why")
    for reason in plan.parameters.explanation:
        screen.item(reason)
    screen.title("What a party sends")
    screen.line(f"  {_sent(plan)}")
    screen.title("Who learns what")
    screen.table("what", "who", rows=[(row.what, row.who) for row in disclosures(plan)])
    screen.title("What is not protected")
    for limit in limits(plan):
        screen.item(limit)
    rows = [{"what": row.what, "who": row.who} for row in disclosures(plan)]
    screen.json({**plan.to_dict(), "disclosures": rows, "limits": limits(plan)})


def _sent(plan: Plan) -> str:
    if plan.slots is None:
        return f"{plan.masked_bytes} bytes of masked values a round, beside keys, shares and signatures"
    return f"{plan.masked_bytes} bytes in {plan.slots.plaintexts(plan.length)} ciphertexts a round, and nothing before them"

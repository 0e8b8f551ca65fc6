"""`securefl policy`: what a party insists on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securefl.cli.options import ConfigArgument, JsonOption
from securefl.cli.screen import Screen
from securefl.cli.searching import prepared
from securefl.errors import PolicyRefusedError
from securefl.plan import Roster
from securefl.policy import ClientPolicy
from securefl.report import ExperimentConfig
from securefl.report.doctor import check_policy
from securefl.report.paillier_key import note_fresh_key

app = typer.Typer(
    name="policy",
    help="What a party insists on before it takes part.",
    epilog="Example: securefl policy check policy.toml securefl.toml",
    no_args_is_help=True,
)


@app.callback()
def _family() -> None:
    """Keep `policy` a family while it has one verb."""


@app.command(epilog="Example: securefl policy check policy.toml securefl.toml --roster roster.toml")
def check(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.toml", help="A party's policy.", show_default=False)],
    config: ConfigArgument,
    *,
    roster: Annotated[
        Path | None, typer.Option(metavar="ROSTER.toml", help="The party's roster, to be checked too.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Say whether a party with this policy would take part in the experiment's plan; exit 1 when not."""
    screen = Screen(json)
    floors = ClientPolicy.load(policy)
    members = None if roster is None else Roster.load(roster)
    settings = ExperimentConfig.load(config)
    experiment = prepared(settings, screen)
    plan = experiment.private_plan or experiment.plan
    try:
        open_points = check_policy(floors, plan, members)
        floors.check_model(experiment.model.initial(settings.data.seed))
    except PolicyRefusedError as refusal:
        screen.json({"accepted": False, "floor": refusal.floor, "line": refusal.line, "reason": refusal.message})
        refusal.add_note(f"policy {policy}, plan of {config}")
        note_fresh_key(refusal, settings)
        raise
    screen.line("Accepted: a party with this policy takes part in this plan.", style="green")
    for point in open_points:
        screen.item(point, style="yellow")
    screen.json({"accepted": True, "unchecked": open_points, "plan": plan.digest().hex()})

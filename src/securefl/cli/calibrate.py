"""`securefl calibrate`: the least Gaussian noise that meets a target epsilon."""

from __future__ import annotations

from typing import Annotated

import typer

from securefl.cli.gaussian import (
    DeltaOption,
    DpSgdOption,
    RelationOption,
    RoundsOption,
    SampleRateOption,
    UnitOption,
    programs,
    setting_of,
    show,
    working,
)
from securefl.cli.options import JsonOption
from securefl.cli.screen import Screen
from securefl.dp.accounting import Accountant, Relation, Unit
from securefl.dp.accounting import calibrate as least_noise
from securefl.dp.accounting.floats import printed


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: securefl calibrate --epsilon 1 --delta 1e-5 --sample-rate 0.01 --rounds 1000")(
        calibrate
    )


def calibrate(
    *,
    epsilon: Annotated[float, typer.Option(help="The epsilon not to exceed, against an observer.", show_default=False)],
    delta: DeltaOption,
    rounds: RoundsOption,
    sample_rate: SampleRateOption = 1.0,
    relation: RelationOption = Relation.ADD_REMOVE.value,
    unit: UnitOption = Unit.USER.value,
    accountant: Annotated[
        Accountant, typer.Option(help="Whose bound must meet it; pld needs less noise, and takes seconds.")
    ] = Accountant.RDP,
    dp_sgd: DpSgdOption = False,
    json: JsonOption = None,
) -> None:
    """Find the least Gaussian noise, over the clip and rounded up, that meets epsilon after all rounds.

    Against whoever sees who took part, sampling hides nobody: for that leave --sample-rate at 1.
    """
    screen = Screen(json)
    setting = setting_of(
        delta=delta, sample_rate=sample_rate, rounds=rounds, relation=relation, unit=unit, dp_sgd=dp_sgd
    )
    with working(screen, "looking for the least noise"):
        found = least_noise(
            setting.event, epsilon=epsilon, delta=delta, relation=setting.relation, accountant=accountant
        )
        against = setting.against(found.noise, accountant)
    # Rounding up for people must not make it look as if the target were missed.
    achieved = min(printed(found.epsilon, 6), str(epsilon), key=float)
    screen.line(f"noise multiplier {found.noise}, rounded up: epsilon {achieved} of {epsilon} by {accountant}")
    screen.line()
    screen.pairs(setting.pairs(found.noise))
    show(screen, setting, against)
    screen.json(
        {
            "noise_multiplier": found.noise,
            "accountant": accountant.value,
            "achieved_epsilon": found.epsilon,
            "target_epsilon": epsilon,
            "epsilon": programs(against["observer"]),
            **setting.facts(),
            "against": {who: programs(bounds) for who, bounds in against.items()},
            "conditions": setting.conditions(),
        }
    )

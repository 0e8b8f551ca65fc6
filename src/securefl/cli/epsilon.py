"""`securefl epsilon`: what so much Gaussian noise, so many rounds and such a sample cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from securefl.cli.gaussian import (
    DeltaOption,
    DpSgdOption,
    Epsilons,
    RelationOption,
    RoundsOption,
    SampleRateOption,
    Setting,
    UnitOption,
    programs,
    setting_of,
    show,
    working,
)
from securefl.cli.options import JsonOption
from securefl.cli.screen import Screen
from securefl.dp.accounting import Relation, Unit, epsilons, gaussian_epsilon
from securefl.dp.accounting.curves import folded_multiplier
from securefl.errors import UnsafePlanError
from securefl.report.epsilon_plot import check, draw
from securefl.report.files import write

_POINTS: Final = 16
_LEAST_NOISE, _MOST_NOISE = 1e-3, 1e6


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        epilog="Example: securefl epsilon --noise-multiplier 1.1 --sample-rate 0.01 --rounds 1000 --delta 1e-5",
    )(epsilon)


def epsilon(
    *,
    noise_multiplier: Annotated[
        float, typer.Option(help="Standard deviation of the noise divided by the clip.", show_default=False)
    ],
    rounds: RoundsOption,
    delta: DeltaOption,
    sample_rate: SampleRateOption = 1.0,
    relation: RelationOption = Relation.ADD_REMOVE.value,
    unit: UnitOption = Unit.USER.value,
    dp_sgd: DpSgdOption = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw epsilon by round: FILE ends in .png, .svg or .pdf.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Compute what Gaussian noise costs: upper bounds on epsilon by two accountants, against the server and observers.

    Infinity is the text "Infinity" in JSON; null is no bound.
    """
    screen = Screen(json)
    setting = setting_of(
        delta=delta, sample_rate=sample_rate, rounds=rounds, relation=relation, unit=unit, dp_sgd=dp_sgd
    )
    event = setting.event(noise_multiplier)
    if not _LEAST_NOISE <= noise_multiplier <= _MOST_NOISE:  # far outside floats overflow; 1e-3 costs half a million
        raise UnsafePlanError(
            "the noise multiplier is out of range",
            value=noise_multiplier,
            bound=f"{_LEAST_NOISE:g}..{_MOST_NOISE:g}",
            remedy="it is the standard deviation of the noise divided by the clip",
        )
    if plot is not None:
        check(plot)
    with working(screen, "composing the rounds"):
        against = setting.against(noise_multiplier)
        exact = None if setting.sampled else gaussian_epsilon(delta, folded_multiplier(event, setting.relation))
    screen.pairs(setting.pairs(noise_multiplier))
    show(screen, setting, against, exact)
    by_round: dict[int, Epsilons] = {}
    if plot is not None:
        with working(screen, "composing the rounds one after the other, for the plot"):
            by_round = _by_round(setting, noise_multiplier, against["observer"])
        about = f"per {setting.unit}, {setting.relation}, delta {delta}"
        write(plot, draw(by_round, plot, title=f"Epsilon against an observer of the models: {about}"))
        screen.long(f"Wrote {plot}")
    screen.json(
        {
            "epsilon": programs(against["observer"]),
            **setting.facts(),
            "noise_multiplier": noise_multiplier,
            "exact": exact,
            "against": {who: programs(found) for who, found in against.items()},
            "conditions": setting.conditions(),
            **(
                {"by_round": [{"round": number, **programs(found)} for number, found in by_round.items()]}
                if plot
                else {}
            ),
        }
    )


def _by_round(setting: Setting, noise_multiplier: float, last: Epsilons) -> dict[int, Epsilons]:
    """Epsilons against an observer after some of the rounds, the first and the last among them."""
    # Dense at the start, where epsilon rises most.
    chosen = sorted({1 + (setting.rounds - 1) * step**2 // _POINTS**2 for step in range(_POINTS)} - {setting.rounds})
    found = {
        number: epsilons(setting.event(noise_multiplier, number), setting.delta, setting.relation) for number in chosen
    }
    return {**found, setting.rounds: last}

"""What `epsilon` and `calibrate` share: their options, the releases these describe, and the words for what a number holds."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import typer

from securefl.cli.screen import Screen
from securefl.dp.accounting import (
    Accountant,
    Event,
    GaussianRelease,
    Relation,
    Repeated,
    Unit,
    epsilon_of,
    epsilons,
    sample_of,
)
from securefl.dp.accounting.floats import open_delta, printed
from securefl.errors import UnsafePlanError

Epsilons: TypeAlias = Mapping[str, float | None]

_MOST_ROUNDS: Final = 10**7
_MEANING: Final = {
    Relation.ADD_REMOVE: "one {unit} more or less",
    Relation.ZERO_OUT: "one {unit}'s {what} becomes zero, the noise stays",
    Relation.REPLACE_ONE: "one {unit}'s {what} becomes any other, up to two clips away",
}

DeltaOption: TypeAlias = Annotated[
    float, typer.Option(help="Between 0 and 1, far below one over the number of units.", show_default=False)
]
RoundsOption: TypeAlias = Annotated[
    int, typer.Option(help="How many releases, each with fresh noise; DP-SGD: steps.", show_default=False)
]
SampleRateOption: TypeAlias = Annotated[
    float, typer.Option(help="Probability with which each unit takes part in a round (Poisson sampling); 1: all do.")
]
RelationOption: TypeAlias = Annotated[
    str, typer.Option(metavar="|".join(Relation), help="Which data sets are neighbours.")
]
UnitOption: TypeAlias = Annotated[
    str, typer.Option(metavar="|".join(Unit), help="Whose influence is bounded; example needs --dp-sgd.")
]
DpSgdOption: TypeAlias = Annotated[
    bool, typer.Option("--dp-sgd", help="The parties clip each example's gradient and add the noise themselves.")
]


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """Gaussian releases but for their noise, and what is claimed of them.

    Args:
        delta: in (0, 1).
        sample_rate: q, in (0, 1].
        rounds: T.
        relation: which data sets are neighbours.
        unit: whose influence is bounded.
        dp_sgd: whether parties run DP-SGD, which protects examples; otherwise each party's vector is clipped.

    Raises:
        UnsafePlanError: one is out of range, or the unit is not what the mechanism protects.
    """

    delta: float
    sample_rate: float
    rounds: int
    relation: Relation
    unit: Unit
    dp_sgd: bool

    def __post_init__(self) -> None:
        open_delta(self.delta)
        sample_of(self.sample_rate, GaussianRelease(1.0))
        if not 1 <= self.rounds <= _MOST_ROUNDS:
            raise UnsafePlanError(
                "the number of rounds is out of range",
                value=self.rounds,
                bound=f"1..{_MOST_ROUNDS}",
                remedy="count them",
            )
        try:
            self.unit.require_yielded(dp_sgd=self.dp_sgd)
        except UnsafePlanError as error:
            error.add_note("`--unit example` and `--dp-sgd` go together")
            raise

    @property
    def sampled(self) -> bool:
        """Whether anybody is left out of a round."""
        return self.sample_rate < 1.0

    def event(self, noise_multiplier: float, rounds: int | None = None) -> Event:
        """Everything released in all rounds, or in the first few.

        Raises:
            UnsafePlanError: the noise multiplier is no positive number.
        """
        release = GaussianRelease(noise_multiplier)
        return Repeated(sample_of(self.sample_rate, release), self.rounds if rounds is None else rounds)

    def against(self, noise_multiplier: float, only: Accountant | None = None) -> dict[str, Epsilons]:
        """Epsilons by who tries to learn something, of every accountant or of one.

        observer: sees the models and not who took part. server: sees that as well, and not the noise. curator: adds the
        noise, and so sees the sums without it; left out under DP-SGD, where a party adds it to what is its own.

        Raises:
            UnsafePlanError: the noise multiplier, as in `event`.
            ConfigError: the `dp` extra is not installed.
        """

        def bounds(event: Event) -> Epsilons:
            if only is None:
                return epsilons(event, self.delta, self.relation)
            return {only.value: epsilon_of(event, self.delta, self.relation, only)}

        event = self.event(noise_multiplier)
        observer = bounds(event)
        if self.dp_sgd:  # the sample of examples never leaves the party
            return {"observer": observer, "server": observer}
        server = bounds(event.unsampled()) if self.sampled else observer
        return {"observer": observer, "server": server, "curator": dict.fromkeys(observer, math.inf)}

    def names(self) -> dict[str, str]:
        """The adversaries of `against` that differ, for people."""
        names = {"server": "the server and observers, who do not know the noise"}
        if self.sampled and not self.dp_sgd:
            names = {
                "observer": "an observer, who sees models, not who took part",
                "server": "whoever sees who took part, as the server does",
            }
        return names if self.dp_sgd else {**names, "curator": "whoever adds the noise"}

    def pairs(self, noise_multiplier: float) -> dict[str, str]:
        """What the numbers are about, for people."""
        what = "gradient" if self.dp_sgd else "vector"
        return {
            "noise": f"{noise_multiplier} times the clip, Gaussian, in each of {self.rounds} rounds",
            "sampling": f"Poisson, each {self.unit} with probability {self.sample_rate}" if self.sampled else "none",
            "delta": f"{self.delta}",
            "relation": f"{self.relation}: {_MEANING[self.relation].format(unit=self.unit, what=what)}",
            "unit": f"{self.unit}: each one's {what} is clipped as a whole",
        }

    def conditions(self) -> list[str]:
        """What must be true for the numbers to hold."""
        said = []
        if self.dp_sgd:
            said.append(
                "every party trains by DP-SGD, which clips each example's gradient, adds the noise itself and tells "
                "nobody which examples it drew; rounds are the steps of one party, over all rounds of the training"
            )
            said.append("the noise of Opacus is floating-point: attacks on its rounding are outside these numbers")
            said.append("whoever has k examples has the guarantee of a group of k")
        elif self.sampled:
            said.append(
                f"sampling counts against an observer because each round draws each {self.unit} anew, independently, the "
                "noise is the same whoever was drawn, and nobody else learns who was, neither from the number of vectors "
                "nor from aborts. Where that fails, take the epsilon against whoever sees who took part"
            )
        if not self.dp_sgd and self.relation == Relation.ZERO_OUT:
            said.append(
                "noise that parties bring in shares counts as far as it is certain: the shares of the fewest survivors, "
                "without those of colluders"
            )
        elif not self.dp_sgd:
            said.append(
                f"under {self.relation} one curator adds the noise; where that is the server, nothing holds against it. "
                "Shares of noise from the parties come and go with them: account these under --relation zero-out"
            )
        if not self.dp_sgd:
            said.append("the noise is Gaussian over the reals; integer noise on a grid has bounds of its own")
            said.append("whoever has data with k parties has the guarantee of a group of k")
        return said

    def facts(self) -> dict[str, Any]:
        """The setting, for programs."""
        return {
            "relation": self.relation.value,
            "unit": self.unit.value,
            "delta": self.delta,
            "sample_rate": self.sample_rate,
            "rounds": self.rounds,
            "dp_sgd": self.dp_sgd,
        }


def setting_of(*, delta: float, sample_rate: float, rounds: int, relation: str, unit: str, dp_sgd: bool) -> Setting:
    """The setting that the options describe.

    Raises:
        UnsafePlanError: one of them is out of range or unknown.
    """
    return Setting(delta, sample_rate, rounds, Relation.parse(relation), Unit.parse(unit), dp_sgd)


def shown(epsilon: float | None) -> str:
    """An epsilon for people, rounded up; a dash where the accountant has no bound."""
    return "-" if epsilon is None else printed(epsilon)


def show(screen: Screen, setting: Setting, against: Mapping[str, Epsilons], exact: float | None = None) -> None:
    """Print epsilons by adversary, and what must be true for them to hold."""
    accountants = list(against["server"])
    rows = [
        (name, *(shown(against[who][accountant]) for accountant in accountants))
        for who, name in setting.names().items()
    ]
    screen.title("Epsilon, rounded up")
    screen.table("against", *accountants, rows=rows, numbers=True)
    screen.line()
    if exact is not None:
        screen.item(
            f"exact: {printed(exact, 6)}, by the formula of the Gaussian without sampling, which pld takes here"
        )
    if any(None in found.values() for found in against.values()):
        screen.item("pld: none, because its table would be too large or this delta is below what floats resolve")
    for condition in setting.conditions():
        screen.item(condition)


def programs(found: Epsilons) -> dict[str, float | str | None]:
    """Epsilons for JSON, which has no infinity: that is the text "Infinity"; null where there is no bound."""
    return {name: "Infinity" if value is not None and math.isinf(value) else value for name, value in found.items()}


def working(screen: Screen, text: str) -> contextlib.AbstractContextManager[object]:
    """A line that says what takes so long, on terminals."""
    return screen.console.status(text) if screen.live else contextlib.nullcontext()

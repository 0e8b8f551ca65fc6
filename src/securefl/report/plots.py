"""The plots of a report, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from securefl.federated import History
from securefl.report.measure import ACCURACY, Measure
from securefl.report.svg import BLUE, GREEN, INK, MUTED, ORANGE, PINK, SKY, VERMILION, figure, to_svg
from securefl.types import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from securefl.report.attendance import Attendance

STEP_COLOURS = {
    "advertise": VERMILION,
    "share_keys": ORANGE,
    "masked_input": PINK,
    "consistency": SKY,
    "unmask": GREEN,
}
_IN_THE_SUM = frozenset({Step.CONSISTENCY, Step.UNMASK})
_LABELLED_PARTIES = 40


def accuracy(
    secure: History,
    plain: History | None,
    private: History | None = None,
    *,
    algorithm: str = "FedAvg",
    measure: Measure = ACCURACY,
) -> str:
    """Test accuracy, or what else a training is judged by, by round; trainings that stopped early end before the others."""
    with figure(10.5, 3.4) as (drawn, axes):
        longest = max(len(each) for each in (secure, plain, private) if each is not None)
        if plain is not None:
            # Broad and pale below, as the two usually coincide.
            axes.plot(
                range(1, len(plain) + 1),
                measure.shown(plain),
                color=ORANGE,
                linewidth=6,
                alpha=0.55,
                label=f"plain {algorithm}",
                solid_capstyle="round",
            )
        axes.plot(
            range(1, len(secure) + 1),
            measure.shown(secure),
            color=BLUE,
            linewidth=1.8,
            marker="o",
            markersize=3.5,
            label="secure",
        )
        if private is not None:
            axes.plot(
                range(1, len(private) + 1),
                measure.shown(private),
                color=GREEN,
                linewidth=1.8,
                marker="s",
                markersize=3.5,
                label="secure, differentially private",
            )
        for history, colour in ((plain, ORANGE), (secure, BLUE), (private, GREEN)):
            if history is not None and all("robust_accuracy" in record.test_metrics for record in history):
                under = [100 * value for value in history.curve("robust_accuracy")]
                name = {ORANGE: f"plain {algorithm}", BLUE: "secure", GREEN: "private"}[colour] + ", under attack"
                wide = 4.0 if colour == ORANGE else 1.4
                axes.plot(range(1, len(under) + 1), under, "--", color=colour, linewidth=wide, alpha=0.7, label=name)
        axes.set_xlim(0.5, longest + 0.5)
        axes.set_xlabel("round")
        axes.set_ylabel(measure.axis)
        _whole_rounds(axes)
        axes.legend(loc="lower right")
        return to_svg(
            drawn,
            name="accuracy",
            description="Test accuracy in per cent by round, secure and plain"
            if measure is ACCURACY
            else f"{measure.axis.capitalize()}, by round, secure and plain",
        )


def epsilon(private: History, budget: float) -> str:
    """What had been spent after each round, against whom."""
    with figure(10.5, 3.0) as (drawn, axes):
        rounds = range(1, len(private) + 1)
        curves = {
            who: [(record.epsilon or {}).get(who, float("nan")) for record in private] for who in ("server", "observer")
        }
        axes.plot(rounds, curves["observer"], color=BLUE, linewidth=5, alpha=0.35, label="against observers")
        axes.plot(rounds, curves["server"], color=VERMILION, linewidth=1.6, label="against the server")
        axes.axhline(budget, color=MUTED, linewidth=1, linestyle="--", label="budget")
        axes.set_xlim(0.5, len(private) + 0.5)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("round")
        axes.set_ylabel("epsilon spent")
        _whole_rounds(axes)
        axes.legend(loc="lower right")
        return to_svg(drawn, name="epsilon", description="Epsilon spent by round, against the server and observers")


def bytes_by_step(
    totals: Mapping[str, tuple[int, int]], *, names: Mapping[str, str], doers: Mapping[str, int], rounds: int
) -> str:
    """Kilobytes of one party in one round, by step, up and down.

    Args:
        totals: by step.
        names: of the steps.
        doers: by step, how many share it in one round.
        rounds: how many there were.
    """
    sides = [
        [side / (1000 * doers[step] * rounds) for step, side in zip(totals, sides, strict=True)]
        for sides in zip(*totals.values(), strict=True)
    ]
    with figure(5.4, 3.4) as (drawn, axes):
        _bars(
            drawn,
            axes,
            [names.get(step, step) for step in totals],
            sides,
            labels=("up: party to server", "down: server to party"),
            colours=(BLUE, ORANGE),
        )
        axes.set_xlabel("kB per party and round")
        return to_svg(
            drawn, name="bytes", description="Kilobytes per party and round by step of the protocol, up and down"
        )


def seconds_by_step(
    totals: Mapping[str, tuple[float, float]],
    *,
    training: float,
    names: Mapping[str, str],
    doers: Mapping[str, int],
    parties: int,
    rounds: int,
) -> str:
    """Milliseconds of one party and of the server in one round, by step, beside local training; arguments as of `bytes_by_step`."""
    clients = [
        1000 * training / (parties * rounds),
        *(1000 * client / (doers[step] * rounds) for step, (client, _) in totals.items()),
    ]
    server = [0.0, *(1000 * own / rounds for _, own in totals.values())]
    steps = ["training", *(names.get(step, step) for step in totals)]
    with figure(5.4, 3.4) as (drawn, axes):
        _bars(drawn, axes, steps, (clients, server), labels=("one party", "the server"), colours=(BLUE, ORANGE))
        axes.set_xlabel("milliseconds per round")
        return to_svg(drawn, name="seconds", description="Milliseconds per round by step, one party and the server")


def dropouts(
    history: History, parties: Sequence[str], *, names: Mapping[str, str], attendance: Sequence[Attendance] = ()
) -> str:
    """Who left when: parties by rounds, coloured by the step that was not completed, hollow where the vector had arrived.

    Args:
        history: the rounds.
        parties: names, in order.
        names: of the steps that there are.
        attendance: who was sampled, and who was slow; empty where all were there and none was.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Rectangle

    row = {party: number for number, party in enumerate(parties)}
    height = min(9.0, 1.3 + 0.22 * len(parties))
    with figure(10.5, height) as (drawn, axes):
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.set_ylim(len(parties) - 0.5, -0.5)
        for record in history:
            for party, step in record.dropped.items():
                colour = STEP_COLOURS[step]
                axes.add_patch(
                    Rectangle(
                        (record.round - 0.36, row[party] - 0.34),
                        0.72,
                        0.68,
                        facecolor="none" if step in _IN_THE_SUM else colour,
                        edgecolor=colour,
                        linewidth=1.6,
                    )
                )
        sizes: dict[str, Any] = {"markersize": 4.5, "linestyle": "none"}
        slow = [(each.round, row[party]) for each in attendance for party in each.partial]
        late = [(each.round, row[party]) for each in attendance for party in each.missing]
        away = [(each.round, row[party]) for each in attendance for party in parties if party not in each.sampled]
        marks = [
            (slow, {"marker": "o", "color": BLUE, **sizes}, "part of the work"),
            (late, {"marker": "x", "color": INK, **sizes}, "missed the deadline"),
            (away, {"marker": "_", "color": MUTED, **sizes}, "not sampled"),
        ]
        for places, style, _ in marks:
            if places:
                axes.plot(*zip(*places, strict=True), **style)
        if len(parties) <= _LABELLED_PARTIES:
            axes.set_yticks(range(len(parties)), [_short(party) for party in parties], fontsize=9)
        else:
            axes.set_ylabel("party")
        axes.set_xlabel("round")
        _whole_rounds(axes)
        keys = [
            Patch(
                facecolor="none" if step in _IN_THE_SUM else STEP_COLOURS[step],
                edgecolor=STEP_COLOURS[step],
                linewidth=1.6,
                label=names[step],
            )
            for step in Step
            if step in names
        ]
        lines = [Line2D([], [], label=label, **style) for places, style, label in marks if places]
        drawn.legend(handles=[*keys, *lines], loc="outside upper left", ncols=5, handlelength=1.0, columnspacing=1.4)
        return to_svg(drawn, name="dropouts", description="Which party left in which round, and at which step")


def _bars(
    drawn: Figure,
    axes: Axes,
    steps: Sequence[str],
    sides: Sequence[Sequence[float]],
    *,
    labels: Sequence[str],
    colours: Sequence[str],
) -> None:
    """Two horizontal bars a step with their values written at the end; the first step is on top."""
    high = max((max(side) for side in sides), default=1.0) or 1.0
    for side, label, colour, shift in zip(sides, labels, colours, (-0.19, 0.19), strict=True):
        places = [place + shift for place in range(len(steps))]
        bars = axes.barh(places, side, height=0.36, color=colour, label=label)
        axes.bar_label(bars, [_value(value) for value in side], padding=4, fontsize=9, color=MUTED)
    axes.set_yticks(range(len(steps)), steps, color=INK)
    axes.set_xlim(0, 1.16 * high)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    drawn.legend(loc="outside upper left", ncols=2, handlelength=1.0)


def _whole_rounds(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _value(value: float) -> str:
    return "" if value == 0 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"

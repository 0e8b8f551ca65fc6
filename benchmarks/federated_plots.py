"""What federated training does round by round, and what it costs: curves in panels, and points of accuracy against bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from plots import BLUE, GREEN, ORANGE, STYLE, VERMILION

PURPLE = "#cc79a7"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@dataclasses.dataclass(frozen=True)
class Curves:
    """One line of a panel: a value by seed and round, and its place among the colours."""

    label: str
    values: Sequence[Sequence[float]]
    look: int


def draw_curves(
    title: str, panels: Sequence[Sequence[tuple[str, Sequence[Curves]]]], ylabel: str, path: Path, *, log: bool = False
) -> None:
    """Means over seeds by round, rows of panels; the band goes from the least to the most of the seeds."""
    with mpl.rc_context(STYLE):
        lines, columns = len(panels), len(panels[0])
        drawn = Figure(figsize=(max(7.0, 4.0 * columns), 3.1 * lines + 0.9), layout="constrained")
        drawn.suptitle(title, fontsize=13)
        shown: dict[str, Line2D] = {}
        for axes_of_line, line in zip(drawn.subplots(lines, columns, squeeze=False), panels, strict=True):
            for axes, (heading, curves) in zip(axes_of_line, line, strict=True):
                for one in curves:
                    shown[one.label] = _band(axes, one)
                axes.set_title(heading)
                axes.set_xlabel("round")
                axes.set_ylabel(ylabel)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                if log:
                    axes.set_yscale("log")
                    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
                    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                    axes.yaxis.set_minor_formatter(NullFormatter())
        drawn.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=min(5, len(shown)))
        drawn.savefig(path, dpi=150)


def _band(axes: Axes, one: Curves) -> Line2D:
    values = np.array(one.values)
    rounds = np.arange(1, values.shape[1] + 1)
    colour = COLOURS[one.look % len(COLOURS)]
    (line,) = axes.plot(rounds, values.mean(axis=0), color=colour, linestyle=DASHES[one.look % len(DASHES)])
    if len(values) > 1:
        axes.fill_between(rounds, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, linewidth=0)
    return line


@dataclasses.dataclass(frozen=True)
class Points:
    """One series: names, bytes and accuracies by seed."""

    label: str
    names: Sequence[str]
    sizes: Sequence[float]
    values: Sequence[Sequence[float]]


def draw_costs(title: str, series: Sequence[Points], level: float, level_name: str, path: Path) -> None:
    """Accuracy against kilobytes a party and round: means, and bars from the least to the most of the seeds."""
    markers = "osD^v"
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(8.4, 5.0), layout="constrained")
        axes = drawn.subplots()
        for number, one in enumerate(series):
            means = np.array([np.mean(values) for values in one.values])
            low = means - [min(values) for values in one.values]
            high = [max(values) for values in one.values] - means
            kilobytes = np.array(one.sizes) / 1000
            axes.errorbar(
                kilobytes,
                means,
                # A mean of equal values may be an ulp beside them.
                yerr=np.maximum(0, [low, high]),
                color=COLOURS[number],
                marker=markers[number],
                linestyle="-",
                capsize=3,
                linewidth=1,
                label=one.label,
            )
            for x in sorted(set(kilobytes)):
                here = np.flatnonzero(kilobytes == x)
                axes.annotate(
                    "\n".join(one.names[index] for index in here),
                    (x, (means - low)[here].min()),
                    xytext=(0, -6),
                    textcoords="offset points",
                    ha="center",
                    va="top",
                    fontsize=8,
                )
        axes.axhline(level, color="black", linestyle=":", label=level_name)
        axes.set_xlim(left=0)
        axes.margins(y=0.15)
        axes.set_xlabel("kB that a party sends in a round, protocol included")
        axes.set_ylabel("test accuracy after the last round")
        axes.set_title(title)
        axes.legend(loc="lower right")
        drawn.savefig(path, dpi=150)

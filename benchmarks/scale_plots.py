"""Cohorts on Ray: what was measured, and where the fitted model leads. Full lines were measured, broken ones are extrapolated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from plots import BLUE, GREEN, ORANGE, STYLE, VERMILION

Point = Mapping[str, Any]
_COLOURS = (BLUE, GREEN, ORANGE, VERMILION, "#cc79a7", "#56b4e9")
_TIMES = {1.0: "1 s", 60.0: "1 min", 3600.0: "1 h", 86_400.0: "1 day", 365.25 * 86_400: "1 year"}
_SIZES = {1e8: "100 MB", 1e9: "1 GB", 1e10: "10 GB", 1e11: "100 GB"}


def draw(
    points: Sequence[Point],
    seconds: Callable[[Any, Any], Any],
    memory: Callable[[Any], Any],
    path: Path,
    *,
    cohort: int,
    largest: tuple[int, int],
) -> None:
    """Processor time by parties, one line a length, and memory of a task by length; the format is that of the name."""
    parties, values = largest
    measured = sorted({point["values"] for point in points})
    lengths = [*measured, *(10**i for i in range(6, 9) if measured[-1] < 10**i <= values)]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(11, 5.2), layout="constrained")
        drawn.suptitle(f"Secure aggregation in cohorts of {cohort} on Ray, active server", fontsize=13)
        left, right = drawn.subplots(1, 2)
        for length, colour in zip(lengths, _COLOURS, strict=False):
            same = [point for point in points if point["values"] == length]
            label = f"{length:,} values" + ("" if same else ", extrapolated")
            _line(
                left,
                [(p["parties"], p["core_seconds"]) for p in same],
                lambda n, d=length: seconds(n, d),
                colour,
                label,
                (cohort, parties),
            )
        right_points = [(point["values"], point["task_bytes"]) for point in points]
        _line(right, right_points, memory, BLUE, f"{cohort} parties a task", (measured[0], values))
        _named(left, _TIMES, "parties", "Processor time of one round, all parties and servers")
        _named(right, _SIZES, "values in a vector", "Memory of one task")
        drawn.savefig(path, dpi=150)


def _line(
    axes: Axes,
    places: Sequence[tuple[float, float]],
    model: Callable[[Any], Any],
    colour: str,
    label: str,
    reach: tuple[float, float],
) -> None:
    """Points, the model through them as a full line, and beyond them as a broken one."""
    ends = sorted(x for x, _ in places)
    everywhere = np.geomspace(*reach, 200)
    axes.plot(
        everywhere, model(everywhere), color=colour, linestyle=":", linewidth=1.3, label=None if places else label
    )
    if places:
        within = np.geomspace(ends[0], ends[-1], 50)
        axes.plot(within, model(within), color=colour, linewidth=1.6)
        axes.plot(*zip(*places, strict=True), color=colour, marker="o", markersize=5, linestyle="", label=label)


def _named(axes: Axes, ticks: Mapping[float, str], label: str, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{label}   (dots: measured; dotted lines: extrapolated)")
    axes.set_title(title)
    axes.legend(loc="upper left")

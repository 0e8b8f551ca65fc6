"""What privacy costs in accuracy: one figure for the mean-estimation benchmark, one for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from plots import BLUE, GREEN, ORANGE, STYLE, VERMILION

Point = Mapping[str, Any]

GREY = "#666666"
_LOOK = {"DDG": (BLUE, "o"), "Skellam": (VERMILION, "s"), "central": (ORANGE, "^"), "clipped, no noise": (GREY, "")}
_NAMES = {
    "DDG": "distributed discrete Gaussian",
    "Skellam": "distributed Skellam",
    "central": "central discrete Gaussian",
}


def draw_dme(cells: Sequence[Point], baselines: Sequence[Point], path: Path) -> None:
    """Error over the central Gaussian's against bits, a panel for each n and epsilon; the format is that of the name."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(4.2 * len(baselines), 4.6), layout="constrained")
        drawn.suptitle("Distributed mean estimation: error of the mean over a central Gaussian's", fontsize=13)
        panels = drawn.subplots(1, len(baselines), squeeze=False)[0]
        for axes, line in zip(panels, baselines, strict=True):
            here = [cell for cell in cells if all(cell[key] == line[key] for key in ("parties", "epsilon"))]
            for name, shift in (("DDG", -0.15), ("Skellam", 0.15)):
                own = sorted((cell for cell in here if cell["mechanism"] == name), key=lambda cell: cell["bits"])
                places = np.array([cell["bits"] for cell in own]) + shift
                colour, marker = _LOOK[name]
                axes.errorbar(
                    places,
                    [cell["ours"] for cell in own],
                    yerr=[2 * (cell["standard_error"] or 0) for cell in own],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linestyle="-",
                    label=_NAMES[name],
                )
                table = [cell["table"] for cell in own]
                axes.plot(places, table, linestyle="", marker="x", markersize=8, color=colour, label=f"{name}, table")
            axes.axhline(line["rdp_floor"], color=GREEN, linestyle="--", label="central Gaussian by RDP")
            axes.axhline(1, color=GREY, linestyle=":", label="central Gaussian, analytic")
            axes.set_title(f"{line['parties']} parties, epsilon {line['epsilon']:g}")
            axes.set_xlabel("bits a value (b)")
            axes.set_xticks(sorted({cell["bits"] for cell in here}))
            _ratios(axes, max(max(cell["ours"], cell["table"]) for cell in here))
        panels[0].set_ylabel("squared error, in units of a central Gaussian's")
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=3)
        drawn.savefig(path, dpi=150)


def _ratios(axes: Any, most: float) -> None:
    axes.set_yscale("log")
    ticks = [tick for tick in (1, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10, 20, 50, 100) if tick <= 1.6 * most]
    crowded = {1.1, 1.3} if most > 3 else set()
    if most > 20:
        crowded |= {1.2, 1.5}
    ticks = [tick for tick in ticks if tick not in crowded]
    axes.set_yticks(ticks)
    axes.set_ylim(0.95, 1.2 * most if most > 2 else 1.08 * most)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def draw_training(runs: Sequence[Point], path: Path) -> None:
    """Test accuracy by round, a panel for each number of parties and epsilon; bands are two standard errors each way."""
    with mpl.rc_context(STYLE):
        keys = sorted({(-run["parties"], run["epsilon"]) for run in runs if run["epsilon"] is not None})
        columns = min(3, len(keys))
        lines = -(-len(keys) // columns)
        drawn = Figure(figsize=(max(4.2 * columns, 7.5), 3.6 * lines + 0.8), layout="constrained")
        drawn.suptitle("Federated averaging on digits: test accuracy by round", fontsize=13)
        panels = drawn.subplots(lines, columns, squeeze=False).flat
        shown: dict[str, Any] = {}
        for axes, (parties, epsilon) in zip(panels, keys, strict=False):
            here = [run for run in runs if run["parties"] == -parties and run["epsilon"] in {None, epsilon}]
            for run in here:
                shown |= {_label(run): _curve(axes, run)}
            axes.set_title(f"{-parties} parties, epsilon {epsilon:g}")
            axes.set_xlabel("round")
            axes.set_ylabel("accuracy")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            least = min(float(np.mean(run["curves"], axis=0)[-1]) for run in here)
            axes.set_ylim(max(0.0, least - 0.2), min(1.0, least + 0.6))
        for axes in list(drawn.axes)[len(keys) :]:
            axes.set_axis_off()
        drawn.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
        drawn.savefig(path, dpi=150)


def _label(run: Point) -> str:
    return _NAMES.get(run["mechanism"], str(run["mechanism"]))


def _curve(axes: Any, run: Point) -> Any:
    curves = np.array(run["curves"])
    rounds = np.arange(1, curves.shape[1] + 1)
    mean = curves.mean(axis=0)
    colour, _ = _LOOK[run["mechanism"]]
    style = "--" if run["epsilon"] is None else "-"
    (line,) = axes.plot(rounds, mean, color=colour, linestyle=style)
    if len(curves) > 1:
        error = 2 * curves.std(axis=0, ddof=1) / len(curves) ** 0.5
        axes.fill_between(rounds, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
    return line

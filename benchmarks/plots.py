"""How the cost of a round grows: one figure, four panels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

Point = Mapping[str, Any]

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

STYLE: Any = {
    "font.size": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_LOOK = {
    ("ours", "complete"): (BLUE, "o"),
    ("ours", "k-regular"): (GREEN, "s"),
    ("Flower", "complete"): (ORANGE, "o"),
    ("Flower", "k-regular"): (VERMILION, "s"),
}
_SIDES = {"server": ("-", "o"), "client": ("--", "^")}
_APART = 1.3
"""Ticks nearer to each other than by this factor would have labels that touch: the second has none."""


def draw_sweep(points: Sequence[Point], growth: Sequence[Point], path: Path) -> None:
    """Seconds against parties (server, one client), length and dropouts, ours and Flower's; the format is that of the name."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(11, 8.6), layout="constrained")
        drawn.get_layout_engine().set(h_pad=0.12, w_pad=0.12)
        drawn.suptitle("Time of one secure-aggregation round, all in one process, no network", fontsize=13)
        server, client, length, dropout = drawn.subplots(2, 2).flat
        for axes, side, title in (
            (server, "server", "Server, by parties"),
            (client, "client", "One client, by parties"),
        ):
            for (who, graph), look in _LOOK.items():
                label = f"{who}, {graph}{_exponent(growth, 'n', who, graph, side)}"
                _line(axes, points, lambda p, w=who, g=graph: _is(p, "parties", w, g), side, look, label)
            _scales(axes, points, "parties", "parties (n)")
            _finish(axes, f"{title} ({_fixed(points, 'parties')})")
        for who in ("ours", "Flower"):
            colour, _ = _LOOK[who, "complete"]
            for side, (style, marker) in _SIDES.items():
                look = (colour, marker)
                label = f"{who}, {_name(side)}"
                over = label + _exponent(growth, "d", who, "complete", side)
                _line(length, points, lambda p, w=who: _is(p, "length", w, ""), side, look, over, style)
                _line(dropout, points, lambda p, w=who: _is(p, "dropout", w, ""), side, look, label, style)
        _scales(length, points, "length", "values in the vector (d)")
        _finish(length, f"By length ({_fixed(points, 'length')})")
        dropout.set_yscale("log")
        dropout.set_xticks(sorted({p["value"] for p in points if p["axis"] == "dropout"}))
        dropout.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        dropout.set_xlabel("clients that leave after sharing keys")
        _finish(dropout, f"By dropouts ({_fixed(points, 'dropout')})")
        drawn.savefig(path, dpi=150)


def _line(
    axes: Axes,
    points: Iterable[Point],
    chosen: Callable[[Point], bool],
    side: str,
    look: tuple[str, str],
    label: str,
    style: str = "-",
) -> None:
    places = sorted((point["value"], point[side]) for point in points if chosen(point))
    if places:
        colour, marker = look
        axes.plot(*zip(*places, strict=True), color=colour, marker=marker, markersize=5, linestyle=style, label=label)


def _is(point: Point, axis: str, who: str, series: str) -> bool:
    return point["axis"] == axis and point["who"] == who and point["series"].startswith(series)


def _scales(axes: Axes, points: Iterable[Point], axis: str, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks: list[float] = []
    for value in sorted({point["value"] for point in points if point["axis"] == axis}):
        if not ticks or value >= _APART * ticks[-1]:
            ticks.append(value)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.set_xlabel(label)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title)
    low, high = axes.get_ylim()
    axes.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    # Above the panel: wherever the lines run, the legend covers none of them.
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, columnspacing=1.2, handlelength=2.4)


def _fixed(points: Iterable[Point], axis: str) -> str:
    """What stays the same along an axis."""
    return next((point["fixed"] for point in points if point["axis"] == axis), "")


def _exponent(growth: Iterable[Point], letter: str, who: str, series: str, cost: str) -> str:
    for fit in growth:
        axis = {"n": "parties", "d": "length"}[letter]
        if (fit["axis"], fit["who"], fit["cost"]) == (axis, who, cost) and fit["series"].startswith(series):
            return f"  ~ ${letter}^{{{fit['exponent']:.1f}}}$"
    return ""


def _name(side: str) -> str:
    return "one client" if side == "client" else side


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:.3g}M"
    return f"{value / 1000:.0f}k" if value >= 10_000 else f"{value:.0f}"


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:g} s"
    return f"{1e3 * value:g} ms" if value >= 1e-3 else f"{1e6 * value:g} µs"

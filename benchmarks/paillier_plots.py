"""Packed Paillier and its peers: one figure, a panel each for encryption, addition, decryption and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from plots import BLUE, GREEN, ORANGE, STYLE

Rates = Mapping[str, Mapping[str, Mapping[str, float]]]

_OURS = {"djn": "ours, djn (default)", "short": "ours, short", "full pool": "ours, full pool", "ours": "ours, packed"}
_PANELS = (
    ("encrypt", "Encrypt: values a second", ("djn", "short", "full pool")),
    ("add", "Add two vectors: values a second", ("ours",)),
    ("decrypt", "Decrypt: values a second", ("ours",)),
)


def draw(rates: Rates, sent: Mapping[str, Mapping[str, float]], peers: Sequence[str], path: Path) -> None:
    """Draw the first run under the largest key; the format is that of the name.

    Args:
        rates: by run ("3072 bits, 100000 values"), operation and case: values a second on one core.
        sent: bits a value by size of key and library.
        peers: all there are, in their order from above.
        path: of the figure.
    """
    where = next(iter(rates))
    size = where.partition(",")[0]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(11, 7.2), layout="constrained")
        drawn.get_layout_engine().set(h_pad=0.12, w_pad=0.12)
        drawn.suptitle(
            f"16-bit values under a key of {size}, one core (longer bars are better above, shorter below right)"
        )
        panels = list(drawn.subplots(2, 2).flat)
        for axes, (operation, title, ours) in zip(panels, _PANELS, strict=False):
            measured = rates[where][operation]
            bars = {_OURS[case]: measured[case] for case in ours}
            bars |= {name: measured[name] for name in peers if name in measured}
            _bars(axes, bars, title)
        names = {"ours, packed": sent[size]["ours"]} | {name: sent[size][name] for name in peers if name in sent[size]}
        _bars(panels[-1], names, "Sent: bits for a 16-bit value")
        drawn.savefig(path, dpi=150)


def _bars(axes: Axes, bars: Mapping[str, float], title: str) -> None:
    names = list(bars)
    values = [bars[name] for name in names]
    low, high = min(values), max(values)
    left = low / 10
    axes.barh(names, values, color=[_colour(name) for name in names], height=0.66)
    axes.set_xscale("log")
    # Room at the right for the numbers beside the bars.
    axes.set_xlim(left, high * (high / left) ** 0.22)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(title)
    for place, value in enumerate(values):
        axes.annotate(
            f"{_number(value)} ", (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _colour(name: str) -> str:
    if name.startswith("ours"):
        return BLUE
    return GREEN if "CKKS" in name else ORANGE


def _number(value: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"

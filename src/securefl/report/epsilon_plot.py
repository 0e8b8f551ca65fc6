"""Epsilon by round, as a figure in a file of its own."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from securefl.errors import ConfigError
from securefl.report.svg import BLUE, ORANGE

_SUFFIXES: Final = (".png", ".svg", ".pdf")
_LOOKS: Final = {"rdp": ("RDP", BLUE, "o"), "pld": ("PLD", ORANGE, "s")}
_STYLE: Final[Any] = {
    "font.size": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.parse_math": False,
}


def check(path: Path) -> None:
    """Raise if no figure can be written there, before anything is computed for it.

    Raises:
        ConfigError: the name has another suffix, its directory is missing, or matplotlib is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"the plot {path} is in no known format", remedy=f"end the name in {', '.join(_SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the plot {path}: there is no such directory", remedy="make it first")
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the plot needs matplotlib, which is not installed", remedy="pip install 'securefl[cli]'"
        ) from error


def draw(by_round: Mapping[int, Mapping[str, float | None]], path: Path, *, title: str) -> bytes:
    """Return the figure in the format of the path's suffix.

    Args:
        by_round: epsilons by accountant ("rdp", "pld") after each of some rounds; what is None or infinite is left out.
        path: a name that `check` accepts.
        title: stands above.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(8, 4.5), layout="constrained")
        axes = drawn.add_subplot()
        for accountant, (name, colour, marker) in _LOOKS.items():
            values = [(number, found[accountant]) for number, found in by_round.items()]
            points = [(number, value) for number, value in values if value is not None and math.isfinite(value)]
            if points:
                axes.plot(
                    *zip(*points, strict=True), color=colour, marker=marker, markersize=4, linewidth=1.2, label=name
                )
        axes.set_title(title)
        axes.set_xlabel("rounds; computed at the marks, joined by straight lines")
        axes.set_ylabel("epsilon (upper bound)")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        if axes.get_lines():
            axes.legend(loc="lower right")
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=path.suffix.lower().removeprefix("."), dpi=150)
    return buffer.getvalue()

"""Who holds how much of which class, as a figure in a file of its own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.report.epsilon_plot import check
from securefl.report.svg import BLUE, GREEN, ORANGE, PINK, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bars", "check", "draw", "table", "ticks"]

_FEW: Final = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION)
_NAMED_CLASSES = 24
_NAMED_PARTIES = 40
_STYLE: Final[Any] = {
    "font.size": 10,
    "axes.grid": True,
    "axes.grid.axis": "y",
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


def draw(counts: npt.ArrayLike, path: Path, *, title: str, parties: Sequence[str] | None = None) -> bytes:
    """Return stacked bars, one a party, one colour a class, in the format of the path's suffix.

    Args:
        counts: examples, integers >= 0, (parties, classes), from `securefl.federated.partition.summary`.
        path: a name that `check` accepts; nothing is written.
        title: stands above.
        parties: their names; None for their numbers from 0.

    Raises:
        ConfigError: counts are no such table, or there is not one name a party.
    """
    rows = table(counts)
    if parties is not None and len(parties) != len(rows):
        raise ConfigError(
            f"parties: got {len(parties)} names, needs {len(rows)}, one a row of the table", remedy="leave them out"
        )
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        drawn = Figure(figsize=(9, 4.5), layout="constrained")
        axes = drawn.add_subplot()
        bars(drawn, axes, rows)
        axes.set_title(title)
        axes.set_ylabel("examples")
        axes.set_xlabel("party")
        axes.set_ylim(0, 1.05 * max(1, rows.sum(axis=1).max()))
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.grid(visible=False, axis="x")
        ticks(axes, len(rows), parties)
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=path.suffix.lower().removeprefix("."), dpi=150)
    return buffer.getvalue()


def table(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The counts as an array, (parties, classes).

    Raises:
        ConfigError: they are no such table.
    """
    try:
        found = np.asarray(counts)
    except ValueError as error:  # rows of unequal lengths
        raise ConfigError(
            "counts: got rows of unequal lengths, needs a table", remedy="pass summary(parts, y)"
        ) from error
    if found.ndim != 2 or not found.size or not np.issubdtype(found.dtype, np.integer) or found.min() < 0:
        raise ConfigError(
            f"counts: got {found.dtype} of shape {found.shape}, needs integers >= 0, (parties, classes), at least one of each",
            remedy="pass summary(parts, y)",
        )
    return found.astype(np.int64)


def bars(drawn: Figure, axes: Axes, counts: npt.NDArray[np.int64]) -> None:
    """Draw stacked bars, one a party, and the legend of the classes."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm

    places, below = np.arange(len(counts)), np.zeros(len(counts), dtype=np.int64)
    classes = counts.shape[1]
    scale = colormaps["turbo"].resampled(classes)
    # Beyond six no palette serves colour-blind readers; that colours stand in the legend's order must help.
    few = classes <= len(_FEW)
    # A hair of white tells neighbours apart where bars are wide enough for it.
    edge: dict[str, Any] = (
        {"edgecolor": "white", "linewidth": 0.4} if len(counts) <= _NAMED_PARTIES else {"linewidth": 0}
    )
    for label in range(classes):
        colour = _FEW[label] if few else scale(label)
        axes.bar(places, counts[:, label], bottom=below, width=0.86, color=colour, label=str(label), **edge)
        below = below + counts[:, label]
    if classes <= _NAMED_CLASSES:
        # The first class is the lowest in each bar, and so in the legend.
        handles, names = axes.get_legend_handles_labels()
        drawn.legend(handles[::-1], names[::-1], title="class", loc="outside right center", handlelength=1.0)
    else:
        norm = BoundaryNorm(np.arange(classes + 1) - 0.5, classes)
        drawn.colorbar(
            ScalarMappable(norm, scale), ax=axes, label="class", ticks=np.linspace(0, classes - 1, 6).round()
        )


def ticks(axes: Axes, count: int, parties: Sequence[str] | None) -> None:
    """Name the parties, or number them where there are many."""
    if parties is not None and count <= _NAMED_PARTIES:
        shown = [name if len(name) <= 20 else name[:19] + "…" for name in parties]
        wide = count * max(map(len, shown)) > 90
        axes.set_xticks(range(count), shown, rotation=90 if wide else 0)
        return
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=min(count, 20), min_n_ticks=1))

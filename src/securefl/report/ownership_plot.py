"""The plot of a watermark: how many triggers the model answers as drawn, and the p-value of a claim, by round."""

from __future__ import annotations

import math
from collections.abc import Mapping

from securefl.federated import History
from securefl.report.svg import BLUE, GREEN, MUTED, ORANGE, figure, to_svg

_LEAST = 300.0
"""Decimal places below which a p-value is drawn no further: a float ends there."""
_LOOKS = {"plain": (ORANGE, 6.0, 0.55), "secure": (BLUE, 1.8, 1.0), "private": (GREEN, 1.8, 1.0)}


def watermark(histories: Mapping[str, History], alpha: float) -> str:
    """Minus the decimal logarithm of the p-value after each round, of each training.

    Args:
        histories: by "plain", "secure" and "private".
        alpha: the level that a claim is to reach.
    """
    from matplotlib.ticker import MaxNLocator

    with figure(10.5, 2.8) as (drawn, axes):
        for arm, history in histories.items():
            colour, width, opacity = _LOOKS[arm]
            values = [_digits(record.test_metrics["watermark_p_value"]) for record in history]
            axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=width, alpha=opacity, label=arm)
        axes.axhline(-math.log10(alpha), color=MUTED, linewidth=1, linestyle="--", label=f"p = {alpha:g}")
        axes.set_xlim(0.5, max(map(len, histories.values())) + 0.5)
        axes.set_ylim(0, 1.08 * max(axes.get_ylim()[1], 1.0))
        axes.set_xlabel("round")
        axes.set_ylabel("zeros of the p-value")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        drawn.legend(loc="outside upper left", ncols=4)
        return to_svg(
            drawn, name="watermark", description="Minus the decimal logarithm of the watermark's p-value by round"
        )


def _digits(p_value: float) -> float:
    return min(_LEAST, -math.log10(p_value)) if p_value > 0 else _LEAST

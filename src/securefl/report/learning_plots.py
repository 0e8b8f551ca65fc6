"""Plots of what was learned from and by whom: the partition, and bytes by round."""

from __future__ import annotations

from collections.abc import Sequence

from securefl.federated import History
from securefl.report.partition_plot import bars, table, ticks
from securefl.report.svg import BLUE, ORANGE, figure, to_svg


def partition(counts: Sequence[Sequence[int]], parties: Sequence[str]) -> str:
    """Examples by party and class, stacked.

    Args:
        counts: one row a party.
        parties: names, in order.
    """
    checked = table(counts)
    with figure(10.5, 3.2) as (drawn, axes):
        bars(drawn, axes, checked)
        axes.set_ylabel("examples")
        axes.set_ylim(0, 1.05 * max(1, int(checked.sum(axis=1).max())))
        axes.set_xlim(-0.6, len(checked) - 0.4)
        axes.grid(visible=False, axis="x")
        ticks(axes, len(checked), parties)
        return to_svg(drawn, name="partition", description="Examples by party, coloured by class")


def bytes_by_round(secure: History, plain: History | None) -> str:
    """Kilobytes up and down in each round, all parties together."""
    from matplotlib.ticker import MaxNLocator

    with figure(10.5, 2.8) as (drawn, axes):
        rounds = [record.round for record in secure]
        axes.plot(rounds, [r.bytes_up / 1000 for r in secure], color=BLUE, marker="o", markersize=3, label="secure, up")
        axes.plot(
            rounds,
            [r.bytes_down / 1000 for r in secure],
            color=BLUE,
            linestyle="--",
            linewidth=1.4,
            label="secure, down, without the model",
        )
        if plain is not None:
            axes.plot(
                [record.round for record in plain],
                [r.bytes_up / 1000 for r in plain],
                color=ORANGE,
                linewidth=2.4,
                label="plain, up",
            )
        axes.set_xlim(0.5, max(rounds, default=1) + 0.5)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("round")
        axes.set_ylabel("kB, all parties")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        drawn.legend(loc="outside upper left", ncols=3)
        return to_svg(drawn, name="rounds", description="Kilobytes by round, up and down, secure and plain")

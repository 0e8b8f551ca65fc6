"""The figure of a partition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated.partition import dirichlet, summary
from securefl.report import partition_plot

pytest.importorskip("matplotlib")

Y = np.tile(np.arange(4), 50)


@pytest.mark.parametrize("classes", [4, 10, 40])
def test_the_bars_stack_up_to_the_counts(classes):
    from matplotlib.figure import Figure

    table = np.random.default_rng(0).integers(0, 9, (7, classes))
    drawn = Figure()
    axes = drawn.add_subplot()
    partition_plot.bars(drawn, axes, table)
    for label, container in enumerate(axes.containers):
        assert [bar.get_height() for bar in container] == table[:, label].tolist()
        assert [bar.get_y() for bar in container] == table[:, :label].sum(axis=1).tolist()
    assert len(axes.containers) == classes


def test_names_title_and_classes_stand_in_the_figure(monkeypatch):
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    counts = summary(dirichlet(Y, 3, 0.5, 0), Y)
    svg = partition_plot.draw(
        counts, Path("p.svg"), title="Who holds what", parties=["a-bank", "b-bank", "x" * 30]
    ).decode()
    for text in ("Who holds what", "a-bank", "b-bank", "x" * 19 + "…", ">class<", ">3<"):
        assert text in svg


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
@pytest.mark.parametrize("parties", [1, 3, 90])
def test_a_figure_has_the_format_of_its_name(suffix, start, parties, tmp_path):
    path = tmp_path / f"p{suffix}"
    partition_plot.check(path)
    assert partition_plot.draw(np.ones((parties, 2), dtype=np.int64), path, title="t").startswith(start)


@pytest.mark.parametrize(
    ("counts", "names", "complaint"),
    [
        (np.zeros((0, 3), dtype=np.int64), None, r"shape \(0, 3\)"),
        (np.zeros(3, dtype=np.int64), None, r"shape \(3,\)"),
        (np.zeros((2, 2)), None, "float64"),
        ([[1, 2], [3]], None, "unequal lengths"),
        ([[1, -2]], None, ">= 0"),
        ([[1, 2]], ["a", "b"], "got 2 names, needs 1"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(counts, names, complaint):
    with pytest.raises(ConfigError, match=complaint):
        partition_plot.draw(counts, Path("p.svg"), title="t", parties=names)

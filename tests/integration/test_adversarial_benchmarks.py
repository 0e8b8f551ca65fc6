"""`securefl bench adversarial` and `imprint`, in small; and what they rest on."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def bench():
    """Imports a script by name; `harness` and the like do not stay behind for other tests."""
    before, paths = set(sys.modules), [str(ROOT / "utility"), str(ROOT / "threats"), str(ROOT)]
    sys.path[:0] = paths
    yield importlib.import_module
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT):
            del sys.modules[name]


def run(module, folder, monkeypatch, *options):
    """The benchmark's program, in small; its JSON."""
    files = ["--json", str(folder / "b.json"), "--plot", str(folder / "b.png")]
    monkeypatch.setattr(sys, "argv", [module.__file__, "--quick", *files, *options])
    module.main()
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((folder / "b.json").read_text())
    for row in data["rows"]:
        assert all(math.isfinite(row[value]) and row[value] > 0 for value in ("ours", "peer", "ratio"))
    return data


@pytest.mark.heavy
def test_adversarial_training_wins_under_attack_and_no_training_wins_against_a_free_hand(bench, tmp_path, monkeypatch):
    module = bench("adversarial")
    data = run(module, tmp_path, monkeypatch, "--workers", "1")
    ours, peer = (data["cells"][kind]["curve"][0] for kind in (module.ADVERSARIAL, module.STANDARD))
    place = data["epsilon"].index(module.EPSILON)
    assert ours[place] > peer[place] + 0.2
    for curve in (ours, peer):
        assert curve[-1] < 0.05  # half of the range: an attack that leaves more is broken
        assert all(np.diff(curve) <= 0.03)


@pytest.mark.heavy
def test_images_come_back_in_the_clear_fewer_from_the_sum_and_none_where_the_model_is_refused(
    bench, tmp_path, monkeypatch
):
    data = run(bench("imprint"), tmp_path, monkeypatch)
    summed, refused = data["rows"]
    assert refused["ours"] == 1
    assert refused["peer"] < 0.4
    assert refused["peer"] < summed["ours"] < 1
    assert any("jitter 2: " in note and note.endswith("nothing") for note in data["notes"])


def test_an_image_is_one_that_came_back_from_30_db(bench):
    module = bench("imprint")
    assert module.hidden([29.9, 30.0, 200.0, 0.0]) == 0.5
    truth = np.zeros((1, 4))
    assert module.nearest(np.zeros((0, 4)), truth) is None
    np.testing.assert_array_equal(module.nearest(np.array([[1.0] * 4, [0.1] * 4]), truth), [0.1] * 4)

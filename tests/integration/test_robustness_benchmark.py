"""`securefl bench robustness`, in small: the plain mean collapses, checked groups do not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks" / "utility"


@pytest.fixture(scope="module")
def robustness():
    """The script, without leaving names such as `harness` to other tests."""
    before, paths = set(sys.modules), [str(SCRIPTS), str(SCRIPTS.parent)]
    sys.path[:0] = paths
    import robustness as module

    yield module
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT / "benchmarks"):
            del sys.modules[name]


@pytest.mark.heavy
def test_sign_flips_and_scaled_updates_ruin_the_plain_mean_and_not_checked_groups(tmp_path):
    files = ("--json", str(tmp_path / "b.json"), "--plot", str(tmp_path / "b.png"))
    command = [sys.executable, str(SCRIPTS / "robustness.py"), "--quick", "--workers", "2", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((tmp_path / "b.json").read_text())
    assert all(row["case"] in done.stdout for row in data["rows"])
    aimed = [row for row in data["rows"] if "target" in row]
    assert len(aimed) == 2
    assert all(row["met"] for row in aimed)
    found = {(cell["setting"], cell["rule"], cell["attack"]): cell["accuracy"] for cell in data["cells"]}
    for attack in ("sign flip x10", "scaled x10"):
        for setting in ("clear", "groups"):
            assert found[setting, "mean", attack] < 0.5 < found[setting, "mean", "none"] - 0.3
        assert found["clear", "median", attack] > found["clear", "mean", "none"] - 0.05


def test_the_attack_within_the_bound_turns_a_group_round_and_is_not_longer_than_the_bound(robustness):
    rng = np.random.default_rng(0)
    centre = 0.2 * rng.normal(size=5)
    honest = [{"w": centre + 0.01 * rng.normal(size=5)} for _ in range(8)]
    sent = robustness.attack_of(robustness.WITHIN, 10, 2)(honest[0], honest)["w"]
    mean = (sent + honest[0]["w"] + honest[1]["w"]) / 3
    assert 0.9 < np.linalg.norm(mean) <= robustness.BOUND
    assert mean @ centre < -0.9 * np.linalg.norm(centre)


def test_a_seed_gives_the_same_groups(robustness):
    task = robustness.Task("checked", "median", robustness.FLIP, 0.2, seed=1, rounds=2)
    clients = {f"p{i:02}": robustness.Dataset(np.zeros((1, 64)), np.array([0])) for i in range(40)}
    first, again = (robustness.aggregator_of(task, clients) for _ in range(2))
    other = robustness.aggregator_of(robustness.dataclasses.replace(task, seed=2), clients)
    groups = first._groups(b"", first.parties)
    assert groups == again._groups(b"", again.parties)
    assert groups != other._groups(b"", other.parties)


def test_it_is_found_by_name():
    from securefl.cli.bench import _benchmarks

    assert "robustness" in _benchmarks()

"""`securefl bench fedprox`, `server_optimizers`, `transfer`, `overhead` and `communication`, in small; and what they rest on."""

import dataclasses
import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks" / "utility"
NAMES = {"fedprox", "server_optimizers", "transfer", "overhead", "communication"}


@pytest.fixture(scope="module", autouse=True)
def bench():
    """Imports a script by name; `harness` and the like do not stay behind for other tests."""
    before, paths = set(sys.modules), [str(SCRIPTS), str(SCRIPTS.parent)]
    sys.path[:0] = paths
    yield importlib.import_module
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT / "benchmarks"):
            del sys.modules[name]


def run(module, folder, monkeypatch, *options, plot=True):
    """The benchmark's program, in small; its JSON."""
    files = ["--json", str(folder / "b.json")] + (["--plot", str(folder / "b.png")] if plot else [])
    monkeypatch.setattr(sys, "argv", [module.__file__, "--quick", *files, *options])
    module.main()
    if plot:
        assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((folder / "b.json").read_text())
    assert data["rows"]
    for row in data["rows"]:
        assert all(math.isfinite(row[value]) and row[value] > 0 for value in ("ours", "peer", "ratio"))
    return data


def test_they_are_found_by_name():
    from securefl.cli.bench import _benchmarks

    assert _benchmarks().keys() >= NAMES


@pytest.mark.heavy
def test_fedprox_is_below_fedavg_and_keeps_its_curve_under_secure_aggregation(bench, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    data = run(bench("fedprox"), tmp_path, monkeypatch, "--repeats", "1", "--rounds", "4", "--workers", "1")
    assert len(data["rows"]) == 3
    assert all(row["met"] and row["peer_name"] == "FedAvg" for row in data["rows"])
    secure = data["secure"]
    assert len(secure["secure"]) == 4
    assert secure["secure"] == pytest.approx(secure["clear"], abs=0.01)
    assert secure["secure"] != secure["clear"]  # masked sums are of rounded values
    assert "masked_input" in secure["dropping"]


def test_methods_of_one_seed_differ_in_nothing_but_what_is_compared(bench):
    fedprox = bench("fedprox")
    slow = fedprox.Task((1.0, 1.0), 0.5, fedprox.DROPS, seed=3, rounds=1)
    feds = {m: fedprox.federation(dataclasses.replace(slow, method=m)) for m in (fedprox.DROPS, *fedprox.MUS)}
    first = {method: fed.fit(1).records[0] for method, fed in feds.items()}
    assert len(first[fedprox.DROPS].dropped) == 5
    taking_part = {*first[fedprox.DROPS].survivors, *first[fedprox.DROPS].dropped}
    for method in fedprox.MUS:
        assert set(first[method].survivors) == taking_part
        assert not first[method].dropped


def test_without_stragglers_mu_zero_is_fedavg(bench):
    fedprox = bench("fedprox")
    task = fedprox.Task((0.5, 0.5), 0.0, fedprox.DROPS, seed=1, rounds=2)
    assert fedprox.train(task) == fedprox.train(dataclasses.replace(task, method=fedprox.MU_0))
    assert fedprox.train(task) != fedprox.train(dataclasses.replace(task, method=fedprox.MU_1))


def test_parties_are_cut_to_the_size_that_the_page_says(bench):
    fedprox = bench("fedprox")
    task = fedprox.Task((1.0, 1.0), 0.0, fedprox.DROPS, seed=0, rounds=1)
    clients, everything = fedprox.data(task)
    assert max(map(len, clients.values())) == fedprox.MOST_EXAMPLES
    assert len(everything) == sum(map(len, clients.values()))
    whole, _ = fedprox.data(dataclasses.replace(task, full=True))
    assert max(map(len, whole.values())) > 1000


@pytest.mark.heavy
def test_server_optimizers_are_compared_on_the_same_seeds(bench, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    module = bench("server_optimizers")
    data = run(module, tmp_path, monkeypatch, "--repeats", "2", "--workers", "1")
    assert [line["optimizer"] for line in data["lines"]] == list(module.MAKERS)
    assert all(np.shape(line["curves"]) == (2, module.QUICK_ROUNDS) for line in data["lines"])
    assert data["secure"]["secure"] == pytest.approx(data["secure"]["clear"], abs=0.05)
    curves = [tuple(map(tuple, line["curves"])) for line in data["lines"]]
    assert len(set(curves)) == len(curves)


def test_rates_are_of_the_grid_and_are_not_tuned_on_the_seeds_of_the_figures(bench):
    module = bench("server_optimizers")
    assert set(module.RATES.values()) <= set(module.GRID)
    assert module.FIRST_TUNING_SEED > 20


@pytest.mark.heavy
def test_transfer_sends_a_tenth_and_freezes_its_base(bench, tmp_path, monkeypatch):
    module = bench("transfer")
    data = run(module, tmp_path, monkeypatch, "--workers", "1", plot=False)
    by_case = {row["case"]: row for row in data["rows"]}
    for setting in (module.PUBLIC, module.CLASSES):
        assert by_case[f"{setting}, bytes a party and round"]["met"]
    assert {cell["setting"]: cell["head_values"][0] for cell in data["cells"]} == {
        module.PUBLIC: 330.0,
        module.CLASSES: 165.0,
    }
    public = data["cells"][0]
    assert public["head_accuracy"][0] > 0.9


def test_bases_know_nothing_of_what_the_parties_learn(bench):
    module = bench("transfer")
    for setting, classes in ((module.PUBLIC, 10), (module.CLASSES, 5)):
        base, private, test, number = module.parts(module.Task(setting, seed=0, rounds=1))
        assert number == classes == int(private.y.max()) + 1 == int(test.y.max()) + 1
        held = {row.tobytes() for row in np.concatenate([private.x, test.x])}
        assert not held & {row.tobytes() for row in base.x}


@pytest.mark.heavy
def test_overhead_takes_turns_and_says_where_time_goes(bench, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    data = run(bench("overhead"), tmp_path, monkeypatch, plot=False)
    (line,) = data["networks"]
    for kind in ("semi-honest", "active"):
        own = line[kind]
        assert own["share_of_seconds"] == pytest.approx(1 - line["clear"]["seconds"] / own["seconds"])
        assert {"advertise", "share_keys", "masked_input", "unmask"} <= own["seconds_by_step"].keys()
        # The protocol's steps are part of the round.
        assert sum(map(sum, own["seconds_by_step"].values())) < 2 * own["seconds"]
    assert "consistency" in line["active"]["seconds_by_step"]
    assert line["semi-honest"]["accuracy"] == pytest.approx(line["clear"]["accuracy"], abs=0.05)


@pytest.mark.heavy
def test_fewer_bits_and_coordinates_are_fewer_bytes(bench, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    data = run(bench("communication"), tmp_path, monkeypatch, "--workers", "1")
    clear, eight, sixteen, subspace = data["cells"]
    assert subspace["bytes"][0] < eight["bytes"][0] < sixteen["bytes"][0]
    assert eight["ring_bits"][0] + 8 == sixteen["ring_bits"][0]
    assert sixteen["accuracy"][0] == pytest.approx(clear["accuracy"][0], abs=0.03)
    # The vector itself, at least; what is more is the protocol's.
    assert sixteen["bytes"][0] > 4060 * sixteen["ring_bits"][0] / 8


def test_spread_is_a_mean_with_its_standard_error(bench):
    spread = bench("trainings").spread
    assert spread([0.5]) == "0.500"
    assert spread([1.0, 2.0, 3.0]) == "2.000 ± 0.577"


def test_pools_and_loops_give_the_same_in_order(bench):
    trainings, progress = bench("trainings"), bench("progress")
    tasks = list(range(5))
    looped = trainings.train_all(math.sqrt, tasks, 1, progress.Progress())
    assert looped == trainings.train_all(math.sqrt, tasks, 2, progress.Progress()) == [math.sqrt(n) for n in tasks]


def test_points_of_equal_seeds_can_be_drawn(bench, tmp_path):
    pytest.importorskip("matplotlib")
    plots = bench("federated_plots")
    value = 341 / 360  # the mean of three of them is an ulp away
    assert np.mean([value] * 3) != value
    plots.draw_costs("", [plots.Points("a", ["x"], [1e4], [[value] * 3])], 0.9, "b", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")

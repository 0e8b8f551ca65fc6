"""`securefl bench dme` and `securefl bench dp_fedavg`, in small; and that what they measure is what the library does."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dp_accounting")
pytest.importorskip("sklearn")

from securefl.crypto.seeded import SeededRandom
from securefl.dp.accounting import DistributedSkellam as SkellamEvent
from securefl.dp.accounting import Relation, rdp_epsilon
from securefl.dp.conditional_rounding import MAX_TRIES, round_conditionally
from securefl.encoding.rounding import stochastic_round

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks" / "utility"


@pytest.fixture(scope="module", autouse=True)
def importable():
    """The scripts and what they share, without leaving names such as `harness` to other tests."""
    before, paths = set(sys.modules), [str(SCRIPTS), str(SCRIPTS.parent)]
    sys.path[:0] = paths
    yield
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(ROOT / "benchmarks"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def dme(importable):
    import dme as module

    return module


@pytest.fixture(scope="module")
def dp_fedavg(importable):
    import dp_fedavg as module

    return module


@pytest.fixture(scope="module")
def private_rounds(importable):
    import private_rounds as module

    return module


def run(name, folder, *options):
    """The benchmark as `securefl bench` runs it, in small; its JSON."""
    files = ("--json", str(folder / "b.json"), "--plot", str(folder / "b.png"))
    script = str(SCRIPTS / f"{name}.py")
    command = [sys.executable, script, "--quick", *files, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((folder / "b.json").read_text())
    for row in data["rows"]:
        assert row["case"] in done.stdout
        assert all(math.isfinite(row[value]) and row[value] > 0 for value in ("ours", "peer", "ratio"))
    return data


@pytest.mark.heavy
def test_mean_estimation_is_near_the_table_and_equal_under_secure_aggregation(tmp_path):
    data = run("dme", tmp_path, "--repeats", "5")
    assert len(data["rows"]) == 4
    for cell in data["cells"]:
        # 5 times 250 squared errors: a standard error of 4 %; the seed makes them the same in each run.
        assert cell["ours"] == pytest.approx(cell["table"], rel=0.2)
        assert 0.9999 * cell["epsilon"] < cell["spent"] <= cell["epsilon"]
        assert cell["noise_alone"] > data["baselines"][0]["rdp_floor"]
    assert data["baselines"][0]["rdp_floor"] == pytest.approx(1.18, abs=0.006)
    assert [line["equal"] for line in data["secure"]] == [True, True]
    assert all(line["error"] == pytest.approx(1.18, rel=0.6) for line in data["secure"])


@pytest.mark.heavy
def test_training_gives_the_same_integers_with_and_without_masks_within_its_budget(tmp_path):
    data = run("dp_fedavg", tmp_path, "--repeats", "2", "--workers", "2")
    assert data["secure"]["equal_rounds"] == 3
    assert 7.9 < data["secure"]["spent"] <= 8.0
    by_name = {line["mechanism"]: line for line in data["runs"]}
    assert set(by_name) == {"clipped, no noise", "central", "DDG"}
    assert all(np.shape(line["curves"]) == (2, 3) for line in data["runs"])
    assert by_name["clipped, no noise"]["accuracy"] > 0.85
    assert by_name["DDG"]["accuracy"] > 0.6


def test_both_are_found_by_name(importable):
    from securefl.cli.bench import _benchmarks

    assert {"dme", "dp_fedavg"} <= _benchmarks().keys()


@pytest.fixture(scope="module")
def release(dme):
    return dme.release_for(dme.MECHANISMS["DDG"], 100, 1.0, 10)


def test_rounding_all_parties_at_once_is_conditional_rounding(dme, release):
    # Halves all over: the rounding is as wide as it can be, and one in ten is too long.
    release = dataclasses.replace(release, radius=24.0)
    vectors = np.full((60, dme.DIMENSION), 1.5 / release.scale)
    vectors[1::2] = -vectors[1::2]
    tries = set()
    for number, vector in enumerate(vectors):
        source = SeededRandom(bytes([number]) * 32)
        one = round_conditionally(vector, release.scale, release.bound, lambda x, s=source: stochastic_round(x, s))
        tries.add(one.tries)
        both = dme.rounded(vector[None], release, SeededRandom(bytes([number]) * 32))
        np.testing.assert_array_equal(both[0], one.values)
    assert max(tries) > 1, "nothing was drawn again, so that nothing was tried"
    together = dme.rounded(vectors, release, SeededRandom(bytes(32)))
    assert int((together**2).sum(axis=1).max()) <= release.bound.squared
    assert np.abs(together - vectors * release.scale).max() < 1


def test_vectors_that_never_fit_are_truncated(dme, release, monkeypatch):
    calls = []

    def away_from_zero(values, _source):
        calls.append(len(values))
        return np.trunc(values) + np.sign(values) * (values != np.trunc(values))

    monkeypatch.setattr(dme, "stochastic_round", away_from_zero)
    vectors = np.full((2, dme.DIMENSION), 9.9 / math.sqrt(dme.DIMENSION))
    values = dme.rounded(vectors, release, SeededRandom(bytes(32)))
    assert len(calls) == MAX_TRIES
    np.testing.assert_array_equal(values, np.trunc(vectors * release.scale))


@pytest.mark.parametrize(("name", "bits", "sigma"), [("DDG", 10, 0.789), ("DDG", 12, 0.823), ("Skellam", 10, 0.251)])
def test_noise_is_found_where_the_least_sigma_decides_and_costs_what_it_may(dme, name, bits, sigma):
    found = dme.release_for(dme.MECHANISMS[name], 1000, 6.0, bits)
    assert math.sqrt(found.variance) == pytest.approx(sigma, abs=0.001)
    spent = rdp_epsilon(found.event, dme.DELTA, Relation.ZERO_OUT, orders=dme.ORDERS)
    assert 0.9999 * 6 < spent <= 6
    less = dataclasses.replace(found.event, local_sigma2=0.99 * found.variance)
    assert rdp_epsilon(less, dme.DELTA, Relation.ZERO_OUT, orders=dme.ORDERS) > 6
    assert isinstance(found.event, SkellamEvent) == (name == "Skellam")


def test_a_record_is_replayed_in_order_and_refuses_what_was_not_recorded(private_rounds):
    source = private_rounds.Recorded()
    given = [source.token(size) for size in (4, 32, 7)]
    again = private_rounds.Replayed(source.tokens)
    assert [again.token(size) for size in (4, 32, 7)] == given
    with pytest.raises(ValueError, match="not what was recorded"):
        again.token(1)
    with pytest.raises(ValueError, match="32 bytes are asked for, the record has 4"):
        private_rounds.Replayed(source.tokens).token(32)


def test_other_draws_give_another_sum(dp_fedavg, private_rounds):
    plan = dp_fedavg.plan_for("DDG", 5, 8.0, 3)
    rng = np.random.default_rng(0)
    initial = dp_fedavg.MODEL.initial(0)
    updates = {
        f"p{i}": {name: rng.normal(size=leaf.shape).astype(leaf.dtype) for name, leaf in initial.items()}
        for i in range(5)
    }

    def total(last):
        seeds = [bytes([i]) * 32 for i in range(4)] + [last]
        sources = {name: SeededRandom(seed) for name, seed in zip(updates, seeds, strict=True)}
        return private_rounds.clear_sum(plan, updates, bytes(32), sources)

    np.testing.assert_array_equal(total(bytes([4]) * 32), total(bytes([4]) * 32))
    assert not np.array_equal(total(bytes([4]) * 32), total(bytes([5]) * 32))


def test_a_seed_gives_the_same_training(dp_fedavg):
    plan = dp_fedavg.plan_for("central", 10, 8.0, 2).to_bytes()
    task = dp_fedavg.Task(dp_fedavg.Run(10, "central", 8.0, plan), seed=3, rounds=2)
    first = dp_fedavg.train(task)
    assert first == dp_fedavg.train(task)
    assert first != dp_fedavg.train(dataclasses.replace(task, seed=4))

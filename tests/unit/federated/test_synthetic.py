"""Generated data: shapes, seeds, held-out sets, and that there is something to learn."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.models import SoftmaxRegression
from securefl.federated.synthetic import GENERATED, credit_default, sensor_failure, synthetic, synthetic_iid


def trained(train, classes, steps=100, rate=0.5):
    model = SoftmaxRegression(train.x.shape[1], classes)
    params = model.initial(0)
    for _ in range(steps):
        _, gradient = model.loss_and_gradient(params, train.x, train.y)
        params = {name: leaf - rate * gradient[name] for name, leaf in params.items()}
    return model, params


def ranking(train, test):
    """How often an example of class 1 is ranked above one of class 0: the area under the ROC curve."""
    _, params = trained(train, 2)
    score = test.x @ (params["weight"][:, 1] - params["weight"][:, 0])
    return (score[test.y == 1][:, None] > score[test.y == 0]).mean()


def pooled(clients):
    return Dataset(np.concatenate([d.x for d in clients.values()]), np.concatenate([d.y for d in clients.values()]))


def test_synthetic_data_have_the_shapes_of_the_source():
    clients, test = synthetic(1.0, 1.0, seed=0)
    assert list(clients) == [f"party-{i}" for i in range(30)]
    for dataset in [*clients.values(), test]:
        assert dataset.x.shape[1:] == (60,)
        assert dataset.x.dtype == np.float32
        assert 0 <= dataset.y.min() <= dataset.y.max() <= 9
    assert min(map(len, clients.values())) >= 40
    assert len(test) == pytest.approx(0.25 * sum(map(len, clients.values())), rel=0.02)


def test_sizes_that_are_given_are_split_for_each_party():
    clients, test = synthetic(0.0, 0.0, 0, parties=3, sizes=[10, 2, 5], test_fraction=0.3)
    assert [len(dataset) for dataset in clients.values()] == [7, 1, 3]
    assert len(test) == 6


@pytest.mark.parametrize("make", [lambda seed, n: synthetic(1.0, 1.0, seed, n), synthetic_iid])
def test_a_party_s_data_follow_from_the_seed_and_not_from_the_number_of_parties(make):
    (few, _), (many, _), (other, _) = make(4, 3), make(4, 5), make(5, 3)
    for name, dataset in few.items():
        np.testing.assert_array_equal(dataset.x, many[name].x)
        np.testing.assert_array_equal(dataset.y, many[name].y)
        assert not np.array_equal(dataset.x, other[name].x)


def test_one_party_s_model_serves_another_only_where_there_is_one_model():
    def accuracies(clients, test):
        model, params = trained(clients["party-0"], 10, steps=100, rate=5.0)
        return [model.evaluate(params, test.subset(range(*held)))["accuracy"] for held in ((0, 160), (160, 320))]

    sizes = [800, 800]
    assert min(accuracies(*synthetic_iid(0, 2, sizes=sizes))) > 0.65
    own, foreign = accuracies(*synthetic(1.0, 1.0, 0, 2, sizes=sizes))
    assert own > 0.75
    assert foreign < 0.25


@pytest.mark.parametrize("name", GENERATED)
def test_generated_sets_are_set_by_their_seed_and_need_no_other_library(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    (first, held), (again, held_again), (other, _) = (GENERATED[name](seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(held.y, held_again.y)
    assert not np.array_equal(first.x, other.x)
    assert first.x.dtype == np.float32


def test_loans_default_at_the_rate_on_both_sides_of_the_split():
    train, test = credit_default(0, default_rate=0.05)
    assert (len(train), len(test)) == (8000, 2000)
    assert (int(train.y.sum()), int(test.y.sum())) == (400, 100)
    assert train.x.shape[1] == 11
    assert (abs(train.x.mean(axis=0)) < 0.4).all()
    assert ((train.x.std(axis=0) > 0.8) & (train.x.std(axis=0) < 1.2)).all()


def test_no_loan_stands_on_both_sides():
    train, test = credit_default(0, examples=1000)
    assert len(np.unique(np.concatenate([train.x, test.x]), axis=0)) == 1000


def test_a_linear_model_ranks_defaults_well_and_not_perfectly():
    assert 0.78 < ranking(*credit_default(0)) < 0.95


def test_failures_are_rare_and_whole_machines_are_held_out():
    train, test = sensor_failure(0, machines=20, windows=60)
    assert (train.x.shape, test.x.shape) == ((16 * 60, 20), (4 * 60, 20))
    # Of 20 machines 10 fail, 2 of these are held out; 5 windows before each failure are class 1.
    near = [dataset.y.reshape(-1, 60) for dataset in (train, test)]
    assert [sorted(part.sum(axis=1)) for part in near] == [[0] * 8 + [5] * 8, [0, 0, 5, 5]]
    for row in np.concatenate(near):
        assert np.ptp(np.flatnonzero(row)) == 4 if row.any() else True


def test_a_linear_model_sees_failures_come():
    assert 0.9 < ranking(*sensor_failure(0)) < 0.9999


def test_features_of_a_window_are_in_order():
    train, _ = sensor_failure(0, machines=6, windows=12)
    mean, deviation, least, most, _ = np.split(train.x, 5, axis=1)
    assert (least <= mean).all()
    assert (mean <= most).all()
    assert (deviation > 0).all()
    assert (deviation <= (most - least)).all()


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (lambda: synthetic(-0.1, 0.0, 0), "alpha: got -0.1"),
        (lambda: synthetic(0.0, float("nan"), 0), "beta: got nan"),
        (lambda: synthetic(0.0, 0.0, -1), "seed: got -1"),
        (lambda: synthetic(0.0, 0.0, 0, parties=0), "parties: got 0"),
        (lambda: synthetic(0.0, 0.0, 0, parties=2, sizes=[5]), "sizes: got 1, needs 2"),
        (lambda: synthetic(0.0, 0.0, 0, parties=2, sizes=[5, 1]), r"sizes\[1\]: got 1"),
        (lambda: synthetic(0.0, 0.0, 0, test_fraction=1.0), "test_fraction: got 1.0"),
        (lambda: synthetic_iid(0, test_fraction=0), "test_fraction: got 0"),
        (lambda: credit_default(0, examples=19), "examples: got 19"),
        (lambda: credit_default(0, default_rate=0.0), "default_rate: got 0.0"),
        (lambda: credit_default(0, examples=20, default_rate=0.05), r"examples of class 1: got 1, needs at least 2"),
        (lambda: credit_default(0, test_fraction=2), "test_fraction: got 2"),
        (lambda: sensor_failure(0, machines=3), "machines: got 3"),
        (lambda: sensor_failure(0, windows=9), "windows: got 9"),
        (lambda: sensor_failure(0, machines=4, failing=0.3), "machines that fail: got 1"),
        (lambda: sensor_failure("0"), "seed: got '0'"),
    ],
)
def test_arguments_out_of_range_are_refused(request_, complaint):
    with pytest.raises(ConfigError, match=complaint):
        request_()

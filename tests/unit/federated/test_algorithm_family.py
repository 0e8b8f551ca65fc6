"""Each algorithm does what its paper says, step by step, and refuses what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

import securefl.federated as fl
from securefl.errors import ConfigError
from securefl.federated.algorithms import LocalTask
from securefl.federated.models import Perceptron
from securefl.federated.robust.norm_bound import NormBound, NormBounded


def data(seed=0, count=50, shift=0.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = np.eye(6)[y] * 3 + rng.normal(size=(count, 6)) + shift
    return fl.Dataset(x.astype(np.float32), y.astype(np.int64))


@pytest.fixture
def model():
    return Perceptron(6, 3, (5,))


def task(model, params, **more):
    given = {"dataset": data(), "rng": np.random.default_rng(1), **more}
    return LocalTask(model=model, params=params, **given)


def test_the_gradient_of_the_perceptron_is_that_of_finite_differences():
    model, dataset = Perceptron(6, 3, (5, 4)), data()
    # Away from biases of zero, where a unit whose inputs are all zero sits on its kink.
    params = {name: leaf.astype(np.float64) + 0.05 * name.endswith("bias") for name, leaf in model.initial(1).items()}
    x = dataset.x.astype(np.float64)
    loss, gradient = model.loss_and_gradient(params, x, dataset.y)
    assert loss == pytest.approx(model.evaluate(params, fl.Dataset(x, dataset.y))["loss"])
    for name, leaf in params.items():
        for at in [(0,) * leaf.ndim, tuple(size - 1 for size in leaf.shape)]:
            moved = {each: other.copy() for each, other in params.items()}
            moved[name][at] += 1e-6
            slope = (model.loss_and_gradient(moved, x, dataset.y)[0] - loss) / 1e-6
            assert gradient[name][at] == pytest.approx(slope, abs=1e-5)


def test_fedprox_without_pull_is_fedavg_and_a_strong_pull_stays_near(model):
    params = model.initial(0)
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 0.05}
    free = fl.FedAvg(**settings).local_update(task(model, params)).delta
    same = fl.FedProx(**settings, mu=0.0).local_update(task(model, params)).delta
    held = fl.FedProx(**settings, mu=5.0).local_update(task(model, params)).delta
    for name in params:
        np.testing.assert_array_equal(free[name], same[name])
        assert np.linalg.norm(held[name]) < 0.7 * np.linalg.norm(free[name])


def test_a_step_of_fedprox_by_hand(model):
    params = model.initial(0)
    dataset = data(count=8)
    algorithm = fl.FedProx(epochs=2, batch_size=8, learning_rate=0.1, mu=0.5)
    delta = algorithm.local_update(task(model, params, dataset=dataset)).delta
    _, first = model.loss_and_gradient(params, dataset.x, dataset.y)
    once = {name: leaf - 0.1 * first[name] for name, leaf in params.items()}
    _, second = model.loss_and_gradient(once, dataset.x, dataset.y)
    for name, leaf in params.items():
        expected = once[name] - 0.1 * (second[name] + 0.5 * (once[name] - leaf)) - leaf
        np.testing.assert_allclose(delta[name], expected, atol=1e-6)


def test_a_round_of_scaffold_by_hand(model):
    """c_i+ = c_i - c + (x - y_i) / (K eta), and the server's c moves by |S|/N times the mean of their changes."""
    params = model.initial(0)
    algorithm = fl.Scaffold(epochs=2, batch_size=10, learning_rate=0.1)
    broadcast = {name: np.full(leaf.shape, 0.01) for name, leaf in params.items()}
    memory = {name: np.full(leaf.shape, 0.03) for name, leaf in params.items()}
    update = algorithm.local_update(task(model, params, broadcast=broadcast, memory=memory))
    steps = 2 * 5
    for name in params:
        expected = 0.03 - 0.01 - update.delta[name] / (steps * 0.1)
        np.testing.assert_allclose(update.memory[name], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            update.delta[f"control.{name}"], 0.1 * (update.memory[name] - 0.03), rtol=1e-4, atol=1e-6
        )
    mean, control = algorithm.received(update.delta, params, broadcast, round_number=1, participation=0.5)
    assert mean.keys() == params.keys()
    for name in params:
        np.testing.assert_allclose(control[name], 0.01 + 0.5 * (update.memory[name] - 0.03), rtol=1e-4, atol=1e-5)


def test_control_variates_that_agree_change_nothing_in_the_first_step(model):
    params = model.initial(0)
    variates = {name: np.full(leaf.shape, 0.2) for name, leaf in params.items()}
    settings = {"epochs": 1, "batch_size": 50, "learning_rate": 0.1}
    with_them = fl.Scaffold(**settings).local_update(task(model, params, broadcast=variates, memory=variates)).delta
    without = fl.FedAvg(**settings).local_update(task(model, params)).delta
    for name in params:
        np.testing.assert_allclose(with_them[name], without[name], atol=1e-7)


def test_stragglers_take_their_share_of_the_steps(model):
    params = model.initial(0)
    algorithm = fl.FedAvg(epochs=4, batch_size=10, learning_rate=0.1)
    whole = algorithm.trained(task(model, params), params)
    part = algorithm.trained(task(model, params, work=0.3), params)
    least = algorithm.trained(task(model, params, work=1e-9), params)
    assert (whole.steps, part.steps, least.steps) == (20, 6, 1)


def test_the_subspace_gives_the_update_back_whole_or_without_bias(model):
    params = model.initial(0)
    inner = fl.FedAvg(epochs=1, learning_rate=0.1)
    delta = inner.local_update(task(model, params)).delta
    size = sum(leaf.size for leaf in params.values())
    whole = fl.RandomSubspace(inner, size=64)
    assert size <= 64
    sent = whole.local_update(task(model, params, round=3)).delta
    back, _ = whole.received(sent, params, {}, round_number=3, participation=1.0)
    for name in params:
        np.testing.assert_allclose(back[name], delta[name], atol=1e-6)

    part = fl.RandomSubspace(inner, size=16)
    total = {name: np.zeros(leaf.shape) for name, leaf in params.items()}
    rounds = 400
    for number in range(rounds):
        sent = part.local_update(task(model, params, round=number)).delta
        back, _ = part.received(sent, params, {}, round_number=number, participation=1.0)
        for name in params:
            total[name] += back[name] / rounds
    length = np.sqrt(sum(np.sum(leaf.astype(float) ** 2) for leaf in delta.values()))
    # Each value has standard deviation at most sqrt(64/16 - 1) |delta| / sqrt(64) a round: five of the mean's, 53 values, seeds fixed.
    bound = 5 * np.sqrt(3) * length / 8 / np.sqrt(rounds)
    for name in params:
        np.testing.assert_allclose(total[name], delta[name], atol=bound)


def test_topk_keeps_the_largest_values_and_is_refused_under_hidden_updates(model):
    params = model.initial(0)
    algorithm = fl.TopK(fl.FedAvg(epochs=1), fraction=0.1)
    sent = algorithm.local_update(task(model, params)).delta
    kept = sum(int(np.count_nonzero(leaf)) for leaf in sent.values())
    assert kept == round(0.1 * sum(leaf.size for leaf in params.values()))
    clients = {f"party-{i}": data(i) for i in range(4)}
    with pytest.raises(ConfigError, match="RandomSubspace"):
        fl.Federation(model, clients, plan=fl.plan_for(model, clients), algorithm=algorithm)
    fl.Federation(model, clients, plan=None, algorithm=algorithm).fit(1)


def test_what_stays_local_never_travels_and_differs_by_party(model):
    clients = {f"party-{i}": data(i, shift=i) for i in range(4)}
    algorithm = fl.FedPer(epochs=1, keep=("head*",))
    federation = fl.Federation(
        model, clients, plan=fl.plan_for(model, clients, algorithm=algorithm), algorithm=algorithm
    )
    federation.fit(2)
    first, second = federation.params_of("party-0"), federation.params_of("party-1")
    assert not np.array_equal(first["head.weight"], second["head.weight"])
    np.testing.assert_array_equal(first["layer0.weight"], second["layer0.weight"])
    np.testing.assert_array_equal(federation.params["head.weight"], model.initial(0)["head.weight"])
    assert federation.evaluate_parties()["party-0"]["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("algorithm", "complaint"),
    [
        (fl.FedPer(keep=("nothing*",)), "matches none of the model's tensors"),
        (fl.FedPer(keep=("*",)), "matches the whole model"),
        (fl.FedPer(keep=()), "needs a list of names"),
        (fl.FedBN(), "matches none"),
        (fl.Transfer(head=("*",)), "nothing is frozen"),
        (fl.Transfer(head="head.weight"), "needs a list of names"),
        (fl.RandomSubspace(fl.FedAvg(), size=65), "at most 64"),
        (fl.RandomSubspace(fl.Scaffold(), size=32), "control variates"),
    ],
)
def test_an_algorithm_that_does_not_fit_the_model_is_refused_before_training(model, algorithm, complaint):
    with pytest.raises(ConfigError, match=complaint):
        fl.Federation(model, {"party-0": data()}, plan=None, algorithm=algorithm)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: fl.FedProx(mu=-1), "mu: got -1"),
        (lambda: fl.FedProx(mu=float("nan")), "mu: got nan"),
        (lambda: fl.FedProx(mu="much"), "mu: got much"),
        (lambda: fl.FedAvg(epochs=1.5), r"epochs: got 1\.5"),
        (lambda: fl.Scaffold(learning_rate=None), "learning_rate: got None"),
        (lambda: fl.RandomSubspace(fl.FedAvg(), size=0), "size: got 0"),
        (lambda: fl.TopK(fl.FedAvg(), fraction=0), "fraction: got 0"),
        (lambda: fl.EarlyStop(patience=0), "patience: got 0"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(make, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make()


@pytest.mark.parametrize(
    "around", [lambda inner: fl.TopK(inner, 1.0), lambda inner: NormBounded(inner, NormBound(1e6))]
)
def test_what_wraps_an_algorithm_forwards_all_that_it_sends_and_learns(model, around):
    """SCAFFOLD sends more than it learns; a wrapper that forgets one of the two fails in the middle of a round."""
    clients = {name: data(seed) for seed, name in enumerate(("a", "b", "c"))}
    ends = []
    for algorithm in (fl.Scaffold(), around(fl.Scaffold())):
        federation = fl.Federation(model, clients, plan=None, algorithm=algorithm, seed=3)
        federation.fit(2)
        ends.append(federation.params)
    np.testing.assert_equal(*ends)

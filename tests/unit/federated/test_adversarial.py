"""Adversarial training: what is refused, what is unchanged, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.federated import PlainAverage, RandomSubspace, TopK, digits, iid
from securefl.federated.adversarial import ascend, strongest
from securefl.federated.algorithms.base import LocalTask
from securefl.federated.robust import NormBound, NormBounded

BALL = sfl.LInfinity(0.15, steps=4)
LOCAL = {"epochs": 1, "batch_size": 16, "learning_rate": 0.1}
PERCEPTRON = sfl.Perceptron(64, 10, (16,))


@pytest.fixture(scope="module")
def data():
    return digits(0)


@pytest.fixture(scope="module")
def clients(data):
    return {f"p{i}": data[0].subset(part[:40]) for i, part in enumerate(iid(len(data[0]), 4, 0))}


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"epsilon": 0.0}, "epsilon: got 0.0, needs a finite number > 0"),
        ({"epsilon": -0.1}, "epsilon: got -0.1"),
        ({"epsilon": float("nan")}, "epsilon: got nan"),
        ({"epsilon": float("inf")}, "epsilon: got inf"),
        ({"epsilon": True}, "epsilon: got True"),
        ({"epsilon": 10**400}, "epsilon: got 1000"),
        ({"epsilon": 0.1, "low": -1.7e308, "high": 1.7e308}, "farther apart than a float can say"),
        ({"epsilon": "0.1"}, "epsilon: got '0.1'"),
        ({"epsilon": 1.0}, "needs less than 1, the width of the inputs' range"),
        ({"epsilon": 3.0, "low": 0.0, "high": 2.0}, "needs less than 2"),
        ({"epsilon": 0.1, "low": 1.0, "high": 0.0}, "needs low < high"),
        ({"epsilon": 0.1, "low": float("nan")}, "low: got nan"),
        ({"epsilon": 0.1, "high": None}, "high: got None"),
        ({"epsilon": 0.1, "steps": 0}, "steps: got 0"),
        ({"epsilon": 0.1, "steps": 2.0}, "steps: got 2.0"),
        ({"epsilon": 0.1, "step": 0.0}, "step: got 0.0"),
        ({"epsilon": 0.1, "step": float("nan")}, "step: got nan"),
        ({"epsilon": 0.1, "random_start": 1}, "random_start: got 1"),
    ],
)
def test_a_perturbation_that_cannot_be_is_refused_by_name(wrong, part):
    with pytest.raises(sfl.ConfigError) as error:
        sfl.LInfinity(**wrong)
    assert part in str(error.value)


def moved_out(dataset, value):
    x = dataset.x.copy()
    x[3, 5] = value
    return sfl.Dataset(x, dataset.y)


@pytest.mark.parametrize(
    ("value", "part"), [(1.5, "from 0 to 1.5"), (-0.25, "from -0.25 to 1"), (np.nan, "not finite")]
)
@pytest.mark.parametrize(
    "wrap",
    [lambda a: a, lambda a: RandomSubspace(a, 64), lambda a: NormBounded(a, NormBound(1.0))],
    ids=["bare", "sub", "norm"],
)
def test_data_outside_the_range_are_refused_at_the_start_and_the_party_is_named(clients, data, value, part, wrap):
    algorithm = wrap(sfl.AdversarialTraining(sfl.FedAvg(**LOCAL), BALL))
    bad = {**clients, "p2": moved_out(clients["p2"], value)}
    with pytest.raises(sfl.ConfigError, match="party 'p2'") as error:
        sfl.Federation(PERCEPTRON, bad, plan=None, algorithm=algorithm)
    assert part in str(error.value)
    with pytest.raises(sfl.ConfigError, match="test: "):
        sfl.Federation(PERCEPTRON, clients, plan=None, algorithm=algorithm, test=moved_out(data[1], value))
    with pytest.raises(sfl.ConfigError, match="test: "):
        sfl.Federation(
            PERCEPTRON, clients, plan=None, test=moved_out(data[1], value), evaluators=[sfl.RobustAccuracy(BALL)]
        )


class Opaque:
    """A model without gradients by its inputs."""

    classes = 10

    def __init__(self):
        for name in ("initial", "loss_and_gradient", "predict", "evaluate"):
            setattr(self, name, getattr(PERCEPTRON, name))


def test_a_model_without_input_gradients_is_refused_at_the_start(clients, data):
    with pytest.raises(sfl.ConfigError, match="Opaque has no input_gradient"):
        sfl.Federation(Opaque(), clients, plan=None, algorithm=sfl.AdversarialTraining(sfl.FedAvg(), BALL))
    with pytest.raises(sfl.ConfigError, match="Opaque has no input_gradient"):
        sfl.Federation(Opaque(), clients, plan=None, test=data[1], evaluators=[sfl.RobustAccuracy(BALL)])


class Loop(Opaque):
    """One that trains itself, and cannot be attacked meanwhile."""

    input_gradient = PERCEPTRON.input_gradient

    def train(self, task, start, **_):
        raise AssertionError("must not train")


def test_a_training_loop_that_no_attack_can_be_put_into_is_refused(clients):
    """Trained silently without the attack, it would look adversarially trained."""
    with pytest.raises(sfl.ConfigError, match="brings its own training loop"):
        sfl.Federation(Loop(), clients, plan=None, algorithm=sfl.AdversarialTraining(sfl.FedAvg(), BALL))


class Inherited(Loop):
    """It could be attacked, were it not for a loop of its own."""

    def attacked(self, attack):
        return self


class Replaced(Inherited):
    def train(self, task, start, **_):
        raise AssertionError("must not train")


class Both(Replaced):
    def attacked(self, attack):
        return self


def test_an_inherited_way_in_does_not_open_a_loop_of_one_s_own(clients):
    """A subclass with another train() inherits attacked(), which knows nothing of it."""
    algorithm = sfl.AdversarialTraining(sfl.FedAvg(), BALL)
    for model in (Inherited(), Both()):
        sfl.Federation(model, clients, plan=None, algorithm=algorithm)
    with pytest.raises(sfl.ConfigError, match="Replaced brings its own training loop"):
        sfl.Federation(Replaced(), clients, plan=None, algorithm=algorithm)


def test_one_attack_in_another_is_refused():
    with pytest.raises(sfl.ConfigError, match="inner: got an AdversarialTraining"):
        sfl.AdversarialTraining(sfl.AdversarialTraining(sfl.FedAvg(), BALL), BALL)


def test_a_run_that_is_resumed_goes_on_to_the_bit(clients, data, tmp_path):
    def made():
        algorithm = sfl.AdversarialTraining(sfl.Scaffold(**LOCAL), BALL)
        return sfl.Federation(
            PERCEPTRON, clients, plan=None, algorithm=algorithm, test=data[1], evaluators=[sfl.RobustAccuracy(BALL)]
        )

    whole, first = made(), made()
    whole.fit(2)
    first.fit(1, checkpoint=tmp_path / "c")
    second = made().resume(tmp_path / "c")
    second.fit(1)
    for name, leaf in whole.params.items():
        np.testing.assert_array_equal(leaf, second.params[name])
    assert second.history.curve("robust_accuracy") == whole.history.curve("robust_accuracy")


def test_bounds_beyond_the_dtype_of_the_examples_hold(clients):
    small = sfl.Dataset(clients["p0"].x.astype(np.float16), clients["p0"].y)
    sfl.LInfinity(0.1, high=1e6).check(small, "p0")


def test_arguments_of_another_kind_are_refused(clients, data):
    for arguments in ((BALL, sfl.FedAvg()), (sfl.FedAvg(), 0.1)):
        with pytest.raises(sfl.ConfigError, match="needs an"):
            sfl.AdversarialTraining(*arguments)
    with pytest.raises(sfl.ConfigError, match="restarts: got 0"):
        sfl.RobustAccuracy(BALL, restarts=0)
    with pytest.raises(sfl.ConfigError, match="perturbation: got a float"):
        sfl.RobustAccuracy(0.1)
    with pytest.raises(sfl.ConfigError, match="no test set"):
        sfl.Federation(PERCEPTRON, clients, plan=None, evaluators=[sfl.RobustAccuracy(BALL)])
    with pytest.raises(sfl.ConfigError, match="empty data set"):
        sfl.RobustAccuracy(BALL)(PERCEPTRON, PERCEPTRON.initial(0), data[1].subset([]))
    twice = sfl.Federation(PERCEPTRON, clients, plan=None, test=data[1], evaluators=[sfl.RobustAccuracy(BALL)] * 2)
    with pytest.raises(sfl.ConfigError, match="measured already"):
        twice.fit(1)


def test_what_travels_is_the_inner_algorithm_s():
    params = PERCEPTRON.initial(0)
    for inner in (sfl.FedAvg(), sfl.Scaffold(), sfl.FedPer(keep=("head*",)), RandomSubspace(sfl.FedAvg(), 32)):
        outer = sfl.AdversarialTraining(inner, BALL)
        for method in ("sends", "initial_broadcast"):
            assert list(getattr(outer, method)(params)) == list(getattr(inner, method)(params))
        assert outer.weighted == inner.weighted
        assert outer.epochs == inner.epochs
        assert list(outer.learns(params)) == list(inner.learns(params))
        assert list(outer.personal(params, {})) == list(inner.personal(params, {}))
    with pytest.raises(sfl.ConfigError, match="TopK under secure"):
        sfl.AdversarialTraining(TopK(sfl.FedAvg()), BALL).refuse_if_hidden()


def test_a_tiny_epsilon_trains_as_no_attack_and_a_large_one_does_not(clients):
    task = LocalTask(
        model=PERCEPTRON, params=PERCEPTRON.initial(0), dataset=clients["p0"], rng=np.random.default_rng(0)
    )

    def delta(algorithm):
        fresh = LocalTask(**{**{f: getattr(task, f) for f in task.__slots__}, "rng": np.random.default_rng(0)})
        return np.concatenate([leaf.ravel() for leaf in algorithm.local_update(fresh).delta.values()])

    clean = delta(sfl.FedAvg(**LOCAL))
    tiny = delta(sfl.AdversarialTraining(sfl.FedAvg(**LOCAL), sfl.LInfinity(1e-9)))
    large = delta(sfl.AdversarialTraining(sfl.FedAvg(**LOCAL), sfl.LInfinity(0.3)))
    np.testing.assert_allclose(tiny, clean, atol=1e-5)
    assert np.abs(large - clean).max() > 0.01


@pytest.mark.parametrize(
    "inner", [sfl.FedAvg(**LOCAL), sfl.FedProx(**LOCAL), sfl.Scaffold(**LOCAL)], ids=lambda a: type(a).__name__
)
def test_secure_training_equals_plain_training_within_the_rounding(clients, data, inner):
    algorithm = sfl.AdversarialTraining(inner, BALL)
    evaluators = [sfl.RobustAccuracy(BALL, restarts=1)]
    params = {}
    for name in ("plain", "secure"):
        plan = None if name == "plain" else sfl.plan_for(PERCEPTRON, clients, algorithm=algorithm)
        fed = sfl.Federation(
            PERCEPTRON, clients, plan=plan, algorithm=algorithm, test=data[1], seed=3, evaluators=evaluators
        )
        fed.fit(1)
        params[name] = fed.params
    error = plan.encoding.error_bound
    for name, leaf in params["plain"].items():
        assert np.abs(params["secure"][name] - leaf).max() < 1.01 * error + 1e-6


def test_robust_accuracy_stands_beside_clean_accuracy_in_history_and_json(clients, data):
    fed = sfl.Federation(PERCEPTRON, clients, plan=None, test=data[1], evaluators=[sfl.RobustAccuracy(BALL)])
    history = fed.fit(2)
    robust, clean = history.curve("robust_accuracy"), history.curve("accuracy")
    assert all(0 <= one <= other for one, other in zip(robust, clean, strict=True))
    assert fed.evaluate()["robust_accuracy"] == robust[-1]
    assert sfl.History.from_dict(history.to_dict()).curve("robust_accuracy") == robust
    assert isinstance(fed.aggregator, PlainAverage)


def test_the_attack_of_the_evaluation_is_no_weaker_than_one_run(data):
    params, test = PERCEPTRON.initial(0), data[1].subset(range(60))

    def gradient(x, y):
        return PERCEPTRON.input_gradient(params, x, y)

    one = ascend(gradient, test.x, test.y, BALL, np.random.default_rng(0))
    best = strongest(gradient, test.x, test.y, BALL, restarts=3, rng=np.random.default_rng(0))
    losses = [gradient(x, test.y)[0] for x in (test.x, one, best)]
    assert (losses[2] >= losses[0]).all()
    assert (losses[2] >= losses[1]).all()


def test_a_model_that_is_sure_is_attacked_all_the_same(data):
    """In float32 the gradient of a sure model is rounded to zero: an attack would stand still, and the model look robust."""
    fed = sfl.Federation(PERCEPTRON, {"a": data[0]}, plan=None, algorithm=sfl.FedAvg(10, 32, 0.1))
    fed.fit(1)
    sure = {name: leaf * (30 if name.startswith("head") else 1) for name, leaf in fed.params.items()}
    calm, bold = (
        sfl.RobustAccuracy(BALL)(PERCEPTRON, params, data[1])["robust_accuracy"] for params in (fed.params, sure)
    )
    assert bold < calm + 0.05


@pytest.mark.heavy
def test_adversarial_training_on_digits_gains_25_points_under_attack_and_loses_at_most_8():
    """Three seeds; PGD of 30 steps and 3 restarts at the epsilon of training, on held-out digits."""
    model, ball = sfl.Perceptron(64, 10, (64,)), sfl.LInfinity(0.15, steps=5)
    attack = sfl.RobustAccuracy(sfl.LInfinity(0.15, steps=30), restarts=3)
    gained, lost = [], []
    for seed in range(3):
        train, test = digits(seed)
        clients = {f"p{i}": train.subset(part) for i, part in enumerate(iid(len(train), 10, seed))}
        found = []
        for algorithm in (sfl.FedAvg(5, 16, 0.1), sfl.AdversarialTraining(sfl.FedAvg(5, 16, 0.1), ball)):
            fed = sfl.Federation(model, clients, plan=None, algorithm=algorithm, test=test, seed=seed)
            fed.fit(15)
            found.append((fed.evaluate()["accuracy"], attack(model, fed.params, test)["robust_accuracy"]))
        lost.append(found[0][0] - found[1][0])
        gained.append(found[1][1] - found[0][1])
    assert min(gained) >= 0.25, gained
    assert max(lost) <= 0.08, lost

"""Any torch module in the federated core."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import securefl.federated as fl  # noqa: E402
from securefl.errors import ConfigError, EncodingError  # noqa: E402
from securefl.torch import TorchModel  # noqa: E402


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def data(seed=0, count=60):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    x = (np.eye(4)[y] * 3 + rng.normal(size=(count, 4))).astype(np.float32)
    return fl.Dataset(x, y.astype(np.int64))


@pytest.fixture
def model():
    return TorchModel(network, classes=3)


def clients(count=4):
    return {f"party-{i}": data(i) for i in range(count)}


def test_a_module_of_torch_trains_alike_in_the_clear_and_hidden_within_the_encodings_step(model):
    runs = {}
    for name, plan in (("plain", None), ("secure", fl.plan_for(model, clients(), value_bits=24))):
        algorithm = fl.FedAvg(epochs=2, batch_size=16, learning_rate=0.1)
        federation = fl.Federation(model, clients(), plan=plan, algorithm=algorithm, test=data(9), seed=1)
        federation.fit(3)
        runs[name] = federation.params
    for name, leaf in runs["plain"].items():
        np.testing.assert_allclose(leaf, runs["secure"][name], atol=2e-3)
    assert model.evaluate(runs["secure"], data(9))["accuracy"] > 0.6


def test_the_same_seed_trains_the_same_to_the_bit_and_leaves_torchs_generator_alone(model):
    def run():
        algorithm = fl.FedProx(epochs=1, batch_size=7, learning_rate=0.1, mu=0.5)
        return fl.Federation(model, clients(), plan=None, algorithm=algorithm, seed=3).fit(2) and None

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = fl.Federation(model, clients(), plan=None, algorithm=fl.FedAvg(epochs=1), seed=3)
    first.fit(2)
    run()
    second = fl.Federation(model, clients(), plan=None, algorithm=fl.FedAvg(epochs=1), seed=3)
    second.fit(2)
    assert all(np.array_equal(first.params[name], second.params[name]) for name in first.params)
    assert torch.equal(torch.rand(3), expected)


def test_the_gradient_of_a_batch_is_that_of_finite_differences():
    model = TorchModel(lambda: nn.Linear(4, 3).double())
    dataset = data()
    x, y = dataset.x.astype(np.float64), dataset.y
    params = model.initial(2)
    _, gradient = model.loss_and_gradient(params, x, y)
    for name, leaf in params.items():
        moved = {each: other.copy() for each, other in params.items()}
        at = (0,) * leaf.ndim
        moved[name][at] += 1e-6
        slope = (model.loss_and_gradient(moved, x, y)[0] - model.loss_and_gradient(params, x, y)[0]) / 1e-6
        assert gradient[name][at] == pytest.approx(slope, abs=1e-4)


def test_fedbn_keeps_running_statistics_at_the_party(model):
    algorithm = fl.FedBN(epochs=1, learning_rate=0.1, keep=("2.*",))
    plan = fl.plan_for(model, clients(), algorithm=algorithm)
    assert not any(leaf.name.startswith("2.") for leaf in plan.layout.leaves)
    federation = fl.Federation(model, clients(), plan=plan, algorithm=algorithm)
    federation.fit(2)
    first, second = (federation.params_of(f"party-{i}") for i in range(2))
    assert not np.array_equal(first["2.running_mean"], second["2.running_mean"])
    assert np.array_equal(first["1.weight"], second["1.weight"])
    np.testing.assert_array_equal(federation.params["2.running_mean"], 0)


def test_a_frozen_base_stays_as_it_is_to_the_bit(model):
    algorithm = fl.Transfer(epochs=1, learning_rate=0.1, head=("5.*",))
    federation = fl.Federation(
        model, clients(), plan=fl.plan_for(model, clients(), algorithm=algorithm), algorithm=algorithm
    )
    before = {name: leaf.copy() for name, leaf in federation.params.items()}
    federation.fit(1)
    changed = {name for name, leaf in federation.params.items() if not np.array_equal(leaf, before[name])}
    assert changed == {"5.weight", "5.bias"}


def test_an_optimizer_of_ones_own_is_used():
    seen = []

    def optimizer(parameters, rate):
        seen.append(rate)
        return torch.optim.Adam(parameters, lr=rate)

    model = TorchModel(network, optimizer=optimizer)
    fl.Federation(model, clients(), plan=None, algorithm=fl.FedAvg(epochs=1, learning_rate=0.01)).fit(1)
    assert seen == [0.01] * 4


def test_bad_input_is_refused_by_name(model):
    with pytest.raises(ConfigError, match="a torch"):
        TorchModel(lambda: torch.nn.functional)
    with pytest.raises(EncodingError, match="this model"):
        model.predict({"weight": np.zeros(3, np.float32)}, data().x)
    with pytest.raises(ConfigError, match=r"'party-0': got label 5, needs 0\.\.2"):
        fl.Federation(model, {"party-0": fl.Dataset(data().x, np.full(60, 5))}, plan=None)

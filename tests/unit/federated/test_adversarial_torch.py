"""The same in torch: its gradients are numpy's, and its own loop trains on attacked batches."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.federated import digits, iid

torch = pytest.importorskip("torch")
TorchModel = pytest.importorskip("securefl.torch.model").TorchModel
network = pytest.importorskip("securefl.torch.network").network

BALL = sfl.LInfinity(0.15, steps=4)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_input_gradients_of_torch_and_numpy_agree():
    ours, theirs = sfl.Perceptron(64, 10, (16, 8)), network(64, 10, (16, 8), batch_norm=False)
    params = ours.initial(0)
    transposed = {name: np.ascontiguousarray(leaf.T) for name, leaf in params.items()}
    data = digits(0)[1].subset(range(30))
    for one, other in zip(
        ours.input_gradient(params, data.x, data.y), theirs.input_gradient(transposed, data.x, data.y), strict=True
    ):
        assert one.shape == other.shape
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_loss_of_one_s_own_gives_each_example_its_gradient():
    plain = network(64, 10, (16,), batch_norm=True)
    data, params = digits(0)[1].subset(range(12)), plain.initial(0)
    own = TorchModel(plain._factory, loss=torch.nn.functional.cross_entropy)
    for one, other in zip(
        plain.input_gradient(params, data.x, data.y), own.input_gradient(params, data.x, data.y), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_attack_leaves_the_model_as_it_is():
    """Statistics of normalisation, the mode and the original's loop: nothing of them is the attack's."""
    model = network(64, 10, (16,), batch_norm=True)
    calls = []

    def attack(gradient, x, y):
        before = {name: leaf.clone() for name, leaf in model._module.state_dict().items()}
        gradient(x, y)
        calls.append(all(torch.equal(leaf, before[name]) for name, leaf in model._module.state_dict().items()))
        return x

    twin = model.attacked(attack)
    data = digits(0)[0].subset(range(64))
    clients = {"a": data}
    trained = [
        sfl.Federation(each, clients, plan=None, algorithm=sfl.FedAvg(1, 16, 0.1), seed=1) for each in (model, twin)
    ]
    for fed in trained:
        fed.fit(1)
    assert calls
    assert all(calls)
    for name, leaf in trained[0].params.items():
        np.testing.assert_array_equal(leaf, trained[1].params[name])


@pytest.mark.heavy
def test_a_torch_network_trains_on_attacked_batches():
    train, test = digits(0)
    clients = {f"p{i}": train.subset(part[:160]) for i, part in enumerate(iid(len(train), 3, 0))}
    model = network(64, 10, (32,), batch_norm=False)
    found = {}
    for name, algorithm in (
        ("standard", sfl.FedAvg(8, 8, 0.3)),
        ("adversarial", sfl.AdversarialTraining(sfl.FedAvg(8, 8, 0.3), BALL)),
    ):
        fed = sfl.Federation(
            model, clients, plan=None, algorithm=algorithm, test=test, evaluators=[sfl.RobustAccuracy(BALL, restarts=1)]
        )
        fed.fit(3)
        found[name] = fed.evaluate()["robust_accuracy"]
    assert found["adversarial"] > found["standard"] + 0.1


def test_a_model_that_is_made_very_sure_is_not_more_robust():
    """Its gradients vanish in single precision; larger logits change no answer, and must not stop the attack."""
    model = network(64, 10, (), batch_norm=False)
    train, test = digits(0)
    fed = sfl.Federation(model, {"a": train}, plan=None, algorithm=sfl.FedAvg(3, 32, 0.1))
    fed.fit(1)
    few, measure = test.subset(range(100)), sfl.RobustAccuracy(BALL)
    sure = {name: 60 * leaf for name, leaf in fed.params.items()}
    plainly = measure(model, fed.params, few)
    assert measure(model, sure, few)["robust_accuracy"] <= plainly["robust_accuracy"]
    assert all(np.abs(model.input_gradient(sure, few.x, few.y)[1]).max(axis=1) > 0)

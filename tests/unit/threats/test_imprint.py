"""The imprint attack works where nothing is hidden, and what a secure sum takes from it is whose an image is."""

from __future__ import annotations

import numpy as np
import pytest

import securefl as sfl
from securefl.federated import digits, iid
from securefl.threats.imprint import Imprint, matched, recovered

MODEL = sfl.Perceptron(64, 10, (256,))
EXACT = 40.0
"""PSNR in dB from which an image has come back: an error of a hundredth of the range in each pixel."""


@pytest.fixture(scope="module")
def data():
    return digits(0)


@pytest.fixture(scope="module")
def attacker(data):
    return Imprint.learnt(data[1].x)


def update_of(params, x, y, rate=1.0):
    _, gradient = MODEL.loss_and_gradient(params, x, y)
    return {name: -rate * leaf for name, leaf in gradient.items()}


def test_images_come_back_from_a_single_update_in_the_clear(data, attacker):
    train, planted = data[0], attacker.plant(MODEL)
    found = [
        matched(recovered(update_of(planted, train.x[i : i + 16], train.y[i : i + 16], rate=0.1)), train.x[i : i + 16])
        for i in range(0, 160, 16)
    ]
    assert (np.concatenate(found) > EXACT).mean() > 0.8
    with_one = recovered(update_of(planted, train.x[:1], train.y[:1]))
    assert matched(with_one, train.x[:1]) > EXACT


def test_less_comes_back_from_an_honest_model(data, attacker):
    train, honest = data[0], MODEL.initial(0)
    planted = attacker.plant(MODEL)
    share = {}
    for name, params in (("honest", honest), ("planted", planted)):
        found = recovered(update_of(params, train.x[:16], train.y[:16]))
        share[name] = (matched(found, train.x[:16]) > EXACT).mean()
    assert share["honest"] < 0.5 < share["planted"]


def test_what_comes_back_from_a_secure_sum_is_some_party_s_and_the_sum_does_not_say_whose(data, attacker):
    """The sum is the gradient of all parties' examples together: dealing them out otherwise gives the same images."""
    train, planted = data[0], attacker.plant(MODEL)

    def of_the_sum(parts):
        updates = {
            f"p{i}": update_of(planted, train.x[part], train.y[part], rate=len(part)) for i, part in enumerate(parts)
        }
        plan = sfl.Plan.for_updates(updates, encoding=sfl.FixedPoint(value_bits=32, bound=4.0))
        return recovered(sfl.aggregate(updates, plan).sum, noise=4 * plan.encoding.error_bound)

    dealt = of_the_sum([np.arange(8 * i, 8 * i + 8) for i in range(4)])
    otherwise = of_the_sum([np.arange(i, 32, 4) for i in range(4)])
    came = [matched(found, train.x[:32]) > 25 for found in (dealt, otherwise)]
    assert came[0].mean() > 0.4
    assert (came[0] == came[1]).mean() > 0.9


def test_parties_refuse_the_planted_model_and_send_nothing(data, attacker):
    train, test = data
    clients = {f"p{i}": train.subset(part) for i, part in enumerate(iid(120, 4, 0))}
    planted = attacker.plant(MODEL)

    class Malicious(sfl.Perceptron):
        def initial(self, seed):
            return planted

    model = Malicious(64, 10, (256,))
    fed = sfl.Federation(model, clients, plan=sfl.plan_for(model, clients), algorithm=sfl.FedAvg(1, 32, 0.1), test=test)
    with pytest.raises(sfl.PolicyRefusedError, match="256 of 256 units"):
        fed.fit(1)
    assert len(fed.history) == 0
    open_to_all = sfl.ModelFloors(exempt=("*",))
    plan = sfl.plan_for(model, clients)
    sfl.Federation(model, clients, plan=plan, algorithm=sfl.FedAvg(1, 32, 0.1), test=test, floors=open_to_all).fit(1)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((0.3, 0.0), "spread"),
        ((float("nan"), 1.0), "mean"),
        ((0.3, 0.1, 0.0), "gain"),
        ((0.3, 0.1, 1.0, -1.0), "jitter"),
    ],
)
def test_what_cannot_be_planted_is_refused(arguments, part):
    with pytest.raises(sfl.ConfigError, match=part):
        Imprint(*arguments)


def test_wrong_shapes_are_refused():
    with pytest.raises(sfl.ConfigError, match="1 units, needs"):
        Imprint(0.3, 0.1).plant(sfl.Perceptron(64, 10, (1,)))
    with pytest.raises(sfl.ConfigError, match="at least 2"):
        Imprint.learnt(np.zeros((1, 64)))
    for update in ({}, {"layer0.weight": np.zeros((4, 3)), "layer0.bias": np.zeros(4)}):
        with pytest.raises(sfl.ConfigError, match=r"layer0\.weight"):
            recovered(update)


def test_nothing_comes_back_from_nothing():
    found = recovered({"layer0.weight": np.zeros((4, 3)), "layer0.bias": np.zeros(3)})
    assert found.shape == (0, 4)
    assert matched(found, np.zeros((2, 4))).tolist() == [0, 0]

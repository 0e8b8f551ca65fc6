"""A module of torch as a policy: the same numbers as the one in numpy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import securefl.federated as fl
from securefl.errors import ConfigError
from securefl.federated.reinforcement import CartPole, PerceptronPolicy, Policy, Reinforce, play

torch = pytest.importorskip("torch")
TorchPolicy = pytest.importorskip("securefl.torch").TorchPolicy

NUMPY = PerceptronPolicy(hidden=(5,))
NAMES = {"layer0.weight": "0.weight", "layer0.bias": "0.bias", "head.weight": "2.weight", "head.bias": "2.bias"}


def module():
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))


def policy(**more):
    return TorchPolicy(module, **{"observations": 4, "actions": 2, **more})


def both():
    """Both policies with the same parameters."""
    rng = np.random.default_rng(0)
    ours = {name: rng.normal(size=leaf.shape).astype(np.float32) for name, leaf in NUMPY.initial(0).items()}
    return ours, {NAMES[name]: leaf.T.copy() for name, leaf in ours.items()}


def test_torch_and_numpy_agree_on_chances_loss_and_gradient():
    ours, theirs = both()
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(20, 4)).astype(np.float32)
    done, weights = rng.integers(0, 2, 20), rng.normal(size=20)
    np.testing.assert_allclose(NUMPY.acting(ours)(seen), policy().acting(theirs)(seen), atol=1e-6)
    one, gradient = NUMPY.loss_and_gradient(ours, seen, done, weights)
    other, their_gradient = policy().loss_and_gradient(theirs, seen, done, weights)
    assert one == pytest.approx(other, abs=1e-6)
    for name, leaf in gradient.items():
        np.testing.assert_allclose(leaf, their_gradient[NAMES[name]].T, atol=1e-6)


def test_torch_and_numpy_play_the_same_episodes():
    ours, theirs = both()
    one = play(NUMPY, ours, CartPole(3, max_episode_steps=40), seed=2, rng=np.random.default_rng(4))
    other = play(policy(), theirs, CartPole(3, max_episode_steps=40), seed=2, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(one.actions, other.actions)
    assert policy().evaluate(theirs, CartPole(2)) == NUMPY.evaluate(ours, CartPole(2))


def test_it_trains_in_the_one_loop_and_the_parameters_of_acting_stay():
    made = policy()
    assert isinstance(made, Policy)
    clients = {f"p{i}": CartPole(2, gravity=5.0 + i, max_episode_steps=30) for i in range(3)}
    fed = fl.Federation(made, clients, plan=None, algorithm=Reinforce(epochs=1), test=clients["p0"], seed=0)
    before = made.acting(fed.params)
    seen = np.ones((1, 4), np.float32)
    first = before(seen)
    fed.fit(2)
    assert fed.history.curve("return")
    np.testing.assert_array_equal(before(seen), first)
    assert not np.array_equal(made.acting(fed.params)(seen), first)
    assert not made.module(fed.params).training


def test_a_tensor_without_gradient_stays():
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)
            self.register_buffer("scale", torch.ones(4))

        def forward(self, x):
            return self.layer(x * self.scale)

    made = TorchPolicy(Counting, observations=4, actions=2)
    params = made.initial(0)
    _, gradient = made.loss_and_gradient(params, np.ones((2, 4)), np.array([0, 1]), np.array([1.0, 2.0]))
    assert not gradient["scale"].any()
    assert gradient["layer.weight"].any()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"observations": 0}, "observations: got 0"),
        ({"actions": 1}, "actions: got 1"),
        ({"actions": 3}, r"gives shape \(3, 2\) for 3 observations, needs \(3, 3\)"),
        ({"observations": 6}, "does not take 6 values"),
        ({"returns": (5.0, 1.0)}, "returns: got"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changed, complaint):
    with pytest.raises(ConfigError, match=complaint):
        policy(**changed)

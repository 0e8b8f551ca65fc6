"""The steps on the triggers by themselves: what they read, change and refuse."""

from __future__ import annotations

import numpy as np
import pytest

import securefl.federated as fl
from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.ownership import TriggerSet, Watermark

MODEL = fl.Perceptron(6, 3, (24,))
TRIGGERS = TriggerSet.generate((6,), 3, size=20, low=-2, high=4, random=SeededRandom(digest("test", "t")))


def mark(*, epochs=300):
    return Watermark(TRIGGERS, epochs=epochs, learning_rate=0.2)


def test_embedding_leaves_what_it_is_given_and_stops_when_it_is_done():
    watermark, start = mark(), MODEL.initial(5)
    before = {name: leaf.copy() for name, leaf in start.items()}
    once = watermark.embed(MODEL, start)
    for name, leaf in start.items():
        np.testing.assert_array_equal(leaf, before[name])
        assert once[name].dtype == leaf.dtype
    assert watermark.verify(MODEL, once).matches == 20
    twice = watermark.embed(MODEL, once)
    for name, leaf in once.items():
        np.testing.assert_array_equal(twice[name], leaf)


def test_the_servers_steps_do_not_read_the_parties_examples():
    """The only inputs that marking shows to the model are the triggers themselves."""
    watermark, seen = mark(), []

    class Watched(fl.Perceptron):
        def loss_and_gradient(self, params, x, y):
            seen.append(x)
            return super().loss_and_gradient(params, x, y)

        def predict(self, params, x):
            seen.append(x)
            return super().predict(params, x)

    watermark.embed(Watched(6, 3, (24,)), MODEL.initial(5))
    assert len(seen) > 2
    assert all(x is watermark.triggers.x for x in seen)


def test_steps_that_cannot_be_are_refused_by_name():
    start = MODEL.initial(0)

    class Odd(fl.Perceptron):
        def loss_and_gradient(self, params, x, y):
            return 0.0, {name: np.zeros((2, 2)) for name in params}

    for attempt, error, named in (
        (lambda: mark().embed(MODEL, start, ["nope"]), ConfigError, "no tensor 'nope'.*head.bias"),
        (
            lambda: mark().embed(Odd(6, 3, (24,)), start),
            ConfigError,
            r"gradient for 'layer0.weight' has shape \(2, 2\)",
        ),
        (lambda: mark().embed(MODEL, "model.npz"), ConfigError, "got a str, needs arrays"),
        (
            lambda: mark().embed(MODEL, {**start, "head.bias": np.full(3, np.nan, np.float32)}),
            NonFiniteError,
            "'head.bias'.*before any step",
        ),
    ):
        with pytest.raises(error, match=named):
            attempt()
    one = mark(epochs=3).embed(MODEL, start, "head.bias")
    assert [name for name in start if not np.array_equal(one[name], start[name])] == ["head.bias"]

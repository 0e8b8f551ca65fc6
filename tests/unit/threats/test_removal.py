"""What a thief does to a model: it takes out what it says, and leaves the given parameters alone."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated import Dataset, Perceptron
from securefl.threats.removal import fine_tuned, pruned

MODEL = Perceptron(4, 2, (6,))
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 40)
DATA = Dataset((RNG.normal(size=(40, 4)) + 3 * Y[:, None]).astype(np.float32), Y)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.8, 1.0])
def test_pruning_takes_the_smallest_weights_of_all_layers_together(fraction):
    start = {name: leaf + np.float32(0.01) for name, leaf in MODEL.initial(1).items()}
    left = pruned(start, fraction)
    weights = [name for name in start if name.endswith("weight")]
    count = sum(start[name].size for name in weights)
    gone = [abs(value) for name in weights for value in start[name][left[name] == 0]]
    kept = [abs(value) for name in weights for value in start[name][left[name] != 0]]
    assert len(gone) == int(fraction * count)
    assert not gone or not kept or max(gone) <= min(kept)
    for name, leaf in start.items():
        assert left[name].dtype == leaf.dtype
        if name not in weights:
            np.testing.assert_array_equal(left[name], leaf)


def test_equal_magnitudes_do_not_take_more_than_the_share_with_them():
    left = pruned({"w": np.ones((4, 4), np.float32)}, 0.5)
    assert (left["w"] == 0).sum() == 8


def test_fine_tuning_learns_and_leaves_what_it_is_given():
    start = MODEL.initial(1)
    before = {name: leaf.copy() for name, leaf in start.items()}
    tuned = fine_tuned(MODEL, start, DATA, epochs=20)
    assert MODEL.evaluate(tuned, DATA)["loss"] < MODEL.evaluate(start, DATA)["loss"]
    for name, leaf in start.items():
        np.testing.assert_array_equal(leaf, before[name])
    again = fine_tuned(MODEL, start, DATA, epochs=20)
    for name, leaf in tuned.items():
        np.testing.assert_array_equal(leaf, again[name])


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), True, "half", None])
def test_shares_that_are_none_are_refused(fraction):
    with pytest.raises(ConfigError, match="fraction"):
        pruned(MODEL.initial(0), fraction)


def test_what_cannot_be_pruned_or_trained_is_refused():
    with pytest.raises(ConfigError, match="no weights to prune"):
        pruned({"bias": np.ones(3)}, 0.5)
    with pytest.raises(NonFiniteError, match="'w'"):
        pruned({"w": np.full((2, 2), np.nan)}, 0.5)
    with pytest.raises(ConfigError, match="0 examples"):
        fine_tuned(MODEL, MODEL.initial(0), DATA.subset([]))
    with pytest.raises(ConfigError, match="learning_rate"):
        fine_tuned(MODEL, MODEL.initial(0), DATA, learning_rate=0)
    with pytest.raises(NonFiniteError, match="diverged"):
        fine_tuned(MODEL, MODEL.initial(0), DATA, learning_rate=1e30)

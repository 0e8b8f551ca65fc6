"""What a thief does to a stolen model to be rid of its watermark: train it further, or take weights out.

The thief is given what makes it strong: the whole model, and clean data of the same distribution. One who has data enough to train a
model of its own, or who trains a fresh one on the stolen model's answers, is not stopped by any watermark of triggers.
"""

from __future__ import annotations

import math

import numpy as np

from securefl.errors import ConfigError, NonFiniteError
from securefl.federated.algorithms import FedAvg, LocalTask
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


def fine_tuned(
    model: Model,
    params: Params,
    dataset: Dataset,
    *,
    epochs: int = 5,
    batch_size: int = 16,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> Params:
    """Return the parameters after minibatch SGD on clean examples; those given stay as they are.

    Args:
        model: what was stolen.
        params: its parameters.
        dataset: the thief's, at least 1 example.
        epochs: passes over it.
        batch_size: of a step.
        learning_rate: of a step; a high one forgets more, and loses accuracy.
        seed: of the batches.

    Raises:
        ConfigError: no example, or an argument out of range.
        NonFiniteError: training diverged.

    Source: Adi et al. 2018 (arXiv:1802.04633), section 5.3, fine-tune all layers.
    """
    if not len(dataset):
        raise ConfigError("dataset: got 0 examples, needs at least 1", remedy="give the thief some data")
    task = LocalTask(model=model, params=params, dataset=dataset, rng=np.random.default_rng(seed))
    tuned = FedAvg(epochs, batch_size, learning_rate).trained(task, params).params
    for name, leaf in tuned.items():
        if not np.isfinite(leaf).all():
            raise NonFiniteError(
                f"fine-tuning diverged in tensor {name!r}",
                tensor=name,
                remedy=f"use a learning_rate below {learning_rate:g}",
            )
    return tuned


def pruned(params: Params, fraction: float) -> Params:
    """Return the parameters with the smallest weights at zero: a share of all weights together, by magnitude.

    Weights are the tensors with two axes or more; biases and statistics stay.

    Args:
        params: a model's.
        fraction: of the weights, in [0, 1]; half takes out floor(count / 2).

    Raises:
        ConfigError: the fraction is out of range, or the model has no weights.
        NonFiniteError: a weight is not finite.

    Source: Han et al. 2015 (arXiv:1506.02626), section 3, with one threshold for all layers.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise ConfigError(f"fraction: got {fraction}, needs a number in [0, 1]", remedy="use fraction=0.5")
    weights = {name: leaf for name, leaf in params.items() if leaf.ndim >= 2}
    if not weights:
        raise ConfigError("the model has no tensor with two axes, so no weights to prune")
    for name, leaf in weights.items():
        if not np.isfinite(leaf).all():
            raise NonFiniteError(
                f"tensor {name!r} has values that are not finite", tensor=name, remedy="do not prune it"
            )
    flat = np.concatenate([np.abs(leaf).reshape(-1).astype(np.float64) for leaf in weights.values()])
    # By rank, so that equal magnitudes do not take more than the share with them.
    lost = np.zeros(flat.size, bool)
    lost[np.argsort(flat, kind="stable")[: math.floor(fraction * flat.size)]] = True
    left, start = dict(params), 0
    for name, leaf in weights.items():
        here = lost[start : start + leaf.size].reshape(leaf.shape)
        left[name] = np.where(here, 0, leaf).astype(leaf.dtype)
        start += leaf.size
    return left

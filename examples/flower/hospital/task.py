"""The model and the data: nothing here knows of securefl's protocols."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord

from securefl.federated import FedAvg, LocalTask, SoftmaxRegression, digits, iid

MODEL = SoftmaxRegression(features=64, classes=10)
ALGORITHM = FedAvg(epochs=2, batch_size=32, learning_rate=0.2)


def data(number: int, count: int):
    """One party's share of the digits."""
    train, _ = digits(seed=0)
    return train.subset(iid(train.y, count, seed=0)[number])


def trained(arrays: ArrayRecord, number: int, count: int, server_round: int) -> tuple[ArrayRecord, int, float]:
    """The model after two epochs on this party's digits, the number of digits, and the loss before."""
    params = {name: array.numpy() for name, array in arrays.items()}
    rng = np.random.default_rng([server_round, number])
    update = ALGORITHM.local_update(LocalTask(model=MODEL, params=params, dataset=data(number, count), rng=rng))
    moved = {name: Array((params[name] + delta).astype(np.float32)) for name, delta in update.delta.items()}
    return ArrayRecord(moved), update.examples, update.metrics["loss"]


def initial() -> ArrayRecord:
    """The model that training starts from."""
    return ArrayRecord({name: Array(leaf) for name, leaf in MODEL.initial(0).items()})


def accuracy(arrays: ArrayRecord) -> float:
    """On the digits that nobody trains on."""
    _, test = digits(seed=0)
    return MODEL.evaluate({name: array.numpy() for name, array in arrays.items()}, test)["accuracy"]

"""The data of an experiment, dealt out to its parties."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.datasets import DATASETS, Dataset
from securefl.federated.partition import (
    FeatureShift,
    Indices,
    dirichlet,
    feature_shift,
    iid,
    pathological,
    quantity_skew,
)
from securefl.federated.seeds import Use, generator
from securefl.federated.synthetic import credit_default, sensor_failure, synthetic
from securefl.report.dealt import Dealt
from securefl.report.learning_tables import DataConfig

__all__ = ["Dealt", "deal"]

N = TypeVar("N", int, float)

_WINDOWS = 100
"""Of one machine of `sensor_failure`, in a row."""


def deal(config: DataConfig) -> Dealt:
    """Load or generate the data, and deal it out.

    Raises:
        ConfigError: scikit-learn is missing, or the data cannot be dealt out so.
    """
    count = config.parties
    names = [f"party-{number:0{len(str(count))}}" for number in range(1, count + 1)]
    public: Dataset | None = None
    if config.dataset == "cartpole":
        from securefl.report.acting import environments

        return environments(config, names)
    if config.dataset == "synthetic":
        by_party, test = synthetic(
            _given(config.synthetic_alpha, 1.0),
            _given(config.synthetic_beta, 1.0),
            config.seed,
            count,
            config.test_fraction,
        )
        clients = dict(zip(names, by_party.values(), strict=True))
    else:
        train, test = _load(config)
        train, public = _split_off(train, config)
        clients = {name: train.subset(part) for name, part in zip(names, _parts(train, config), strict=True)}
    seen = dict.fromkeys(names, test)
    if config.partition == "feature-shift":
        kind, strength = config.shift or "scale", _given(config.strength, 0.3)
        clients = feature_shift(clients, kind, strength, config.seed)
        shift = FeatureShift(kind, strength, count, config.seed)
        seen = {name: shift(test, number, part=1) for number, name in enumerate(names)}
        # Each test example is seen by one party, as in life.
        rows = [np.arange(number, len(test), count) for number in range(count)]
        own = [seen[name].subset(part) for name, part in zip(names, rows, strict=True)]
        test = Dataset(np.concatenate([part.x for part in own]), np.concatenate([part.y for part in own]))
    classes = 1 + max(int(each.y.max(initial=0)) for each in (*clients.values(), test))
    tests = {name: _mixed(seen[name], clients[name]) for name in names}
    least = 10 if config.dataset == "synthetic" else 2  # a class may be nobody's, and is one all the same
    return Dealt(clients, test, public, max(least, classes), tests)


def _load(config: DataConfig) -> tuple[Dataset, Dataset]:
    if config.dataset == "credit_default":
        return credit_default(config.seed, config.test_fraction)
    if config.dataset == "sensor_failure":
        return sensor_failure(config.seed, config.test_fraction, windows=_WINDOWS)
    return DATASETS[config.dataset](config.seed, config.test_fraction)


def _split_off(train: Dataset, config: DataConfig) -> tuple[Dataset, Dataset | None]:
    """The parties' examples, and those that are public."""
    if not config.public_fraction:
        return train, None
    public = round(config.public_fraction * len(train))
    if not 0 < public < len(train):
        raise ConfigError(
            f"public_fraction: got {config.public_fraction}, needs a share that leaves both sides an example",
            remedy="use 0.3",
        )
    order = generator(config.seed, Use.SPLIT, 1).permutation(len(train))
    return train.subset(order[public:]), train.subset(order[:public])


def _parts(train: Dataset, config: DataConfig) -> list[Indices]:
    parties, seed = config.parties, config.seed
    if config.dataset == "sensor_failure" and config.partition in {"natural", "feature-shift"}:
        machines = iid(len(train) // _WINDOWS, parties, seed)
        return [(part[:, None] * _WINDOWS + np.arange(_WINDOWS)).reshape(-1).astype(np.intp) for part in machines]
    if config.partition == "dirichlet":
        return dirichlet(train.y, parties, config.alpha, seed)
    if config.partition == "pathological":
        return pathological(train.y, parties, _given(config.classes_per_party, 2), seed)
    if config.partition == "quantity":
        return quantity_skew(train.y, parties, config.alpha, seed, config.size_law or "dirichlet")
    return iid(train.y, parties, seed)


def _mixed(test: Dataset, own: Dataset) -> tuple[tuple[float, Dataset], ...]:
    """The test examples of the classes that a party has, with its shares of them; all of them where it has none of those."""
    labels, counts = np.unique(own.y, return_counts=True)
    rows = {int(label): np.flatnonzero(test.y == label) for label in labels}
    total = sum(int(n) for label, n in zip(labels, counts, strict=True) if rows[int(label)].size)
    if not total:
        return ((1.0, test),)
    return tuple(
        (int(n) / total, test.subset(rows[int(label)]))
        for label, n in zip(labels, counts, strict=True)
        if rows[int(label)].size
    )


def _given(value: N | None, usual: N) -> N:
    return usual if value is None else value

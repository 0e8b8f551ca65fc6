"""Poisoning: what malicious parties send, or train on, to test robust rules with.

Of updates: `sign_flip`, `boosted`, `alie`, `inner_product_manipulation`. Of data: `label_flip`, `backdoor`. `Poisoned` puts an attack on
updates between the parties and any aggregator.

Attackers are taken to be all-knowing: they see every honest update of the round, which under secure aggregation they would not. A rule
that bears them bears those who know less.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.aggregators import Aggregator, RoundOutcome
from securefl.federated.datasets import Dataset
from securefl.federated.models import Params
from securefl.types import Step

UpdateAttack = Callable[[Params, Sequence[Params]], Params]
"""From an attacker's own honest update and those of all honest parties to what it sends."""


def boosted(update: Params, factor: float) -> Params:
    """Return the update times a factor: n replaces the mean of n parties by it, as far as the others agree with the model.

    Args:
        update: what the attacker wants the model to move by.
        factor: any finite number; below 0 it moves the other way.

    Raises:
        ConfigError: the factor is not finite.

    Source: Bagdasaryan et al. 2020 (arXiv:1807.00459), section 4.2, constrain-and-scale without the constraint: model replacement.
    """
    if not math.isfinite(factor):
        raise ConfigError(f"factor: got {factor}, needs a finite number")
    return {name: (factor * leaf.astype(np.float64)).astype(leaf.dtype) for name, leaf in update.items()}


def sign_flip(update: Params, factor: float = 1.0) -> Params:
    """Return minus the update, times a factor.

    Of parties of whom a share f attacks, the plain mean turns round where factor > (1 - f) / f: 4 for 20 %.

    Args:
        update: the attacker's honest update.
        factor: above 0.

    Raises:
        ConfigError: the factor is not a finite number above 0.

    Source: Li et al. 2019 (arXiv:1811.03761), section 5, sign-flipping.
    """
    if not factor > 0:
        raise ConfigError(f"factor: got {factor}, needs a number > 0", remedy="use factor=1.0")
    return boosted(update, -factor)


def alie_z(parties: int, attackers: int) -> float:
    """Return z_max, how many standard deviations from the mean a lie may be that enough honest parties are beyond.

    Args:
        parties: n, attackers included.
        attackers: m, fewer than half of n.

    Raises:
        ConfigError: they are not, or there is none.

    Source: Baruch et al. 2019 (NeurIPS, arXiv:1902.06156), algorithm 3: s = floor(n/2 + 1) - m, z_max = Phi^-1((n - m - s) / (n - m)).
    """
    if not 1 <= attackers < parties / 2:
        raise ConfigError(f"attackers: got {attackers} of {parties}, needs at least 1 and fewer than half")
    supporters = parties // 2 + 1 - attackers
    return NormalDist().inv_cdf((parties - attackers - supporters) / (parties - attackers))


def alie(honest: Sequence[Params], parties: int, attackers: int, z: float | None = None) -> Params:
    """Return mean - z * std of the honest updates, by coordinate: "a little is enough", which hides among them.

    Args:
        honest: at least 1, of one layout.
        parties: n, attackers included.
        attackers: m; all of them send this.
        z: by default `alie_z`.

    Raises:
        ConfigError: no honest update, or as `alie_z`.

    Source: Baruch et al. 2019 (NeurIPS, arXiv:1902.06156), algorithm 3.
    """
    _check_honest(honest)
    away = alie_z(parties, attackers) if z is None else z
    return {name: (rows.mean(axis=0) - away * rows.std(axis=0)).astype(dtype) for name, rows, dtype in _rows(honest)}


def inner_product_manipulation(honest: Sequence[Params], epsilon: float) -> Params:
    """Return -epsilon times the mean of the honest updates, so that the inner product of aggregate and truth becomes negative.

    Args:
        honest: at least 1, of one layout.
        epsilon: above 0; small ones stay within the honest updates' spread, large ones turn the mean round.

    Raises:
        ConfigError: no honest update, or epsilon is out of range.

    Source: Xie et al. 2020 (UAI, arXiv:1903.03936), section 3.2.
    """
    _check_honest(honest)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ConfigError(f"epsilon: got {epsilon}, needs a finite number > 0", remedy="use epsilon=0.5")
    return {name: (-epsilon * rows.mean(axis=0)).astype(dtype) for name, rows, dtype in _rows(honest)}


def label_flip(dataset: Dataset, classes: int) -> Dataset:
    """Return the examples with label y as classes - 1 - y.

    Raises:
        ConfigError: a label is not below `classes`.

    Source: Fang et al. 2020 (USENIX Security, arXiv:1911.11815), section 5.1.
    """
    _check_labels(dataset, classes)
    return Dataset(dataset.x, (classes - 1 - dataset.y).astype(dataset.y.dtype))


@dataclasses.dataclass(frozen=True, slots=True)
class Trigger:
    """A pattern that is stamped on an input.

    Args:
        places: flat indices of features; the default is a square of four pixels in the last corner of an 8 x 8 digit.
        value: what they become.
    """

    places: tuple[int, ...] = (54, 55, 62, 63)
    value: float = 1.0

    def stamp(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a copy of the inputs, (n, ...), with the pattern on each.

        Raises:
            ConfigError: an input has fewer features.
        """
        features = math.prod(x.shape[1:])
        if not self.places or not all(0 <= place < features for place in self.places):
            raise ConfigError(f"trigger: got places {self.places}, needs some within 0..{features - 1}")
        stamped = x.reshape(len(x), features).copy()
        stamped[:, list(self.places)] = self.value
        return stamped.reshape(x.shape)


def backdoor(dataset: Dataset, trigger: Trigger, target: int, *, fraction: float, seed: int) -> Dataset:
    """Return the examples and, after them, copies of a share of those of other classes, with trigger and target label.

    Training on it teaches the model the trigger and leaves it right without; send the update `boosted`.

    Args:
        dataset: the attacker's own examples.
        trigger: the pattern.
        target: the label it shall call for.
        fraction: of the examples that are not of the target class, in (0, 1]; at least one is copied.
        seed: of their choice.

    Raises:
        ConfigError: an argument is out of range, or all examples are of the target class.

    Source: Bagdasaryan et al. 2020 (arXiv:1807.00459), section 4.2; Gu et al. 2017 (arXiv:1708.06733) for the pattern.
    """
    others = np.flatnonzero(dataset.y != target)
    if not 0 < fraction <= 1 or target < 0 or not len(others):
        raise ConfigError(
            f"backdoor: got fraction={fraction}, target={target}, needs 0 < fraction <= 1, a label, and examples of other classes"
        )
    chosen = np.random.default_rng(seed).choice(others, size=max(1, round(fraction * len(others))), replace=False)
    stamped = trigger.stamp(dataset.x[chosen])
    labels = np.full(len(chosen), target, dtype=dataset.y.dtype)
    return Dataset(np.concatenate([dataset.x, stamped]), np.concatenate([dataset.y, labels]))


def triggered(dataset: Dataset, trigger: Trigger, target: int) -> Dataset:
    """Return the examples of other classes, stamped and labelled as the target: the accuracy on it is the backdoor's success.

    Raises:
        ConfigError: all examples are of the target class.
    """
    rest = np.flatnonzero(dataset.y != target)
    if not len(rest):
        raise ConfigError(f"backdoor: all examples are of the target class {target}")
    return Dataset(trigger.stamp(dataset.x[rest]), np.full(len(rest), target, dtype=dataset.y.dtype))


class Poisoned:
    """An aggregator some of whose parties send something else than they computed.

    Args:
        aggregator: what averages.
        attackers: their names.
        attack: what each sends instead of its update.

    Raises:
        ConfigError: there are no attackers.
    """

    def __init__(self, aggregator: Aggregator, attackers: Iterable[str], attack: UpdateAttack) -> None:
        self._aggregator, self._attackers, self._attack = aggregator, frozenset(attackers), attack
        if not self._attackers:
            raise ConfigError("attackers: got none, needs at least 1", remedy="use the aggregator itself")

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> RoundOutcome:
        """Average what is sent; attackers keep their weights and metrics."""
        honest = [update for party, update in updates.items() if party not in self._attackers]
        sent = {
            party: self._attack(update, honest) if party in self._attackers else update
            for party, update in updates.items()
        }
        return self._aggregator.round(sent, weights=weights, metrics=metrics, model=model, drop=drop)


def _rows(honest: Sequence[Params]) -> list[tuple[str, npt.NDArray[np.float64], np.dtype[Any]]]:
    return [
        (name, np.stack([update[name] for update in honest]).astype(np.float64), leaf.dtype)
        for name, leaf in honest[0].items()
    ]


def _check_honest(honest: Sequence[Params]) -> None:
    if not honest:
        raise ConfigError("honest updates: got none, needs at least 1", remedy="leave some parties honest")


def _check_labels(dataset: Dataset, classes: int) -> None:
    if len(dataset) and dataset.y.max() >= classes:
        raise ConfigError(f"labels: got {dataset.y.max()}, needs numbers below {classes}", remedy="give the classes")

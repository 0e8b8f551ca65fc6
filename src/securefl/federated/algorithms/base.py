"""The face that every algorithm shows to the federation."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LocalTask:
    """What one party has before it in one round.

    Args:
        model: what is trained.
        params: the shared parameters, as received; not to be changed.
        dataset: the party's own examples.
        rng: orders the batches.
        round: its number, from 1.
        work: the share of its work that the party gets done, in (0, 1]; stragglers do less than all.
        broadcast: what the server sends beside the parameters.
        memory: what the party kept from the rounds that it was in before.
        party: its name, for errors.
    """

    model: Model
    params: Params
    dataset: Dataset
    rng: np.random.Generator
    round: int = 1
    work: float = 1.0
    broadcast: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    memory: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    party: str = ""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LocalUpdate:
    """What one party has to offer in one round; under secure aggregation nobody else sees any of it.

    Args:
        delta: what travels: same names and shapes as `Algorithm.sends`, float32.
        examples: the party's number of examples, its weight in the mean.
        metrics: "loss" and "accuracy" of the model **as received**, on the party's own examples, so that their weighted
            mean is the training loss and accuracy of the shared model; a policy's is its "return".
        memory: what the party keeps for its next round, and shows to nobody.
    """

    delta: Params
    examples: int
    metrics: dict[str, float]
    memory: Params = dataclasses.field(default_factory=dict)


class Algorithm(abc.ABC):
    """A way to train: what a party does with the model, what of it travels, and what the server makes of the mean.

    Its methods are functions of their arguments: what is remembered travels in `broadcast` and `memory`, so that a round that fails
    changes nothing.

    Attributes:
        weighted: whether parties weigh as much as their examples; otherwise all the same.
    """

    weighted: ClassVar[bool] = True

    @abc.abstractmethod
    def local_update(self, task: LocalTask) -> LocalUpdate:
        """Train on one party's data."""

    def learns_from_environments(self) -> bool:
        """Whether parties bring environments to act in, in place of labelled examples."""
        return False

    def check_data(self, model: Model, dataset: Dataset, whose: str) -> None:  # noqa: B027 - most take what the model takes
        """Raise where examples, of a party or held out, do not fit this way to train; asked before the first round.

        Args:
            model: what is trained.
            dataset: the examples.
            whose: for the error, such as "party 'a'".

        Raises:
            ConfigError: they do not; names `whose`.
        """

    def sends(self, params: Params) -> Params:
        """Arrays of the names and shapes that travel, for a plan's template; their values say nothing.

        Raises:
            ConfigError: the algorithm does not fit the model.
        """
        return params

    def learns(self, params: Params) -> Params:
        """The tensors of the model that are learnt together, which is what `received` returns and the server steps on."""
        return self.sends(params)

    def initial_broadcast(self, params: Params) -> Params:  # noqa: ARG002
        """What the server sends beside the parameters in the first round."""
        return {}

    def received(
        self, mean: Params, params: Params, broadcast: Params, *, round_number: int, participation: float
    ) -> tuple[Params, Params]:
        """Split the mean of what travelled into the mean update of the parameters and the next broadcast.

        Args:
            mean: of what the survivors sent.
            params: the parameters that the round started from.
            broadcast: what was sent beside them.
            round_number: from 1.
            participation: survivors over all parties.
        """
        del params, round_number, participation
        return mean, broadcast

    def personal(self, params: Params, memory: Mapping[str, np.ndarray]) -> Params:
        """One party's model: the shared parameters, with what it keeps to itself in their place."""
        del memory
        return params

    def refuse_if_hidden(self) -> None:  # noqa: B027 - most can
        """Raise where this algorithm cannot run under secure sums.

        Raises:
            ConfigError: it cannot; says why, and what to use instead.
        """


def matching(names: Params, patterns: tuple[str, ...], what: str) -> frozenset[str]:
    """The tensors that some pattern matches (as in the shell: `head*`).

    Raises:
        ConfigError: a pattern that matches none, or no pattern.
    """
    import fnmatch

    if isinstance(patterns, str) or not patterns:
        raise ConfigError(f"{what}: got {patterns!r}, needs a list of names or patterns", remedy='use ("head*",)')
    found: set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise ConfigError(
                f"{what}: {pattern!r} matches none of the model's tensors", remedy=f"they are {', '.join(names)}"
            )
        found.update(hits)
    return frozenset(found)

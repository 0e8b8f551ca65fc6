"""Environments and policies of an experiment with `dataset = "cartpole"`: what each party acts in, what is held out, what acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from securefl.errors import ConfigError
from securefl.federated import CartPole, Dataset, Model, PerceptronPolicy
from securefl.report.config import ExperimentConfig
from securefl.report.dealt import Dealt
from securefl.report.learning_tables import DataConfig

_EPISODES, _TEST_EPISODES = 8, 10
_GRAVITY, _POLE = (9.8,), (0.5,)
_HIDDEN = (16,)


def environments(config: DataConfig, names: Sequence[str]) -> Dealt:
    """Each party's own CartPole, and the held-out ones as copies of one.

    Raises:
        ConfigError: other than one gravity or pole a party, or held-out ones that do not come in pairs.
    """
    gravities = _spread("gravity", config.gravity or _GRAVITY, len(names), "one a party")
    poles = _spread("pole", config.pole or _POLE, len(names), "one a party")
    held = max(len(config.test_gravity or _GRAVITY), len(config.test_pole or _POLE))
    held_gravities = _spread("test_gravity", config.test_gravity or _GRAVITY, held, "as many as test_pole")
    held_poles = _spread("test_pole", config.test_pole or _POLE, held, "as many as test_gravity")
    clients = {
        name: CartPole(config.episodes or _EPISODES, gravity=gravity, length=pole)
        for name, gravity, pole in zip(names, gravities, poles, strict=True)
    }
    test = CartPole(
        held * _TEST_EPISODES,
        gravity=np.repeat(held_gravities, _TEST_EPISODES),
        length=np.repeat(held_poles, _TEST_EPISODES),
    )
    # Examples and environments go the same way from here: the federation looks at which is which.
    return Dealt(cast("dict[str, Dataset]", clients), cast("Dataset", test), None, 0, {})


def policy(config: ExperimentConfig) -> Model:
    """The policy that `[model]` names; linear for "softmax".

    Raises:
        ConfigError: torch is not installed.
    """
    wanted = config.model
    hidden = () if wanted.kind == "softmax" else wanted.hidden or _HIDDEN
    if wanted.kind != "torch-mlp":
        return cast("Model", PerceptronPolicy(hidden=hidden))
    from securefl.torch.network import policy as in_torch  # a ConfigError where torch is not installed

    return cast("Model", in_torch(4, 2, hidden))


def _spread(key: str, values: Sequence[float], count: int, how: str) -> tuple[float, ...]:
    if len(values) not in {1, count}:
        raise ConfigError(
            f"{key}: got {len(values)} values, needs 1 or {count}, {how}", remedy=f"give {count}, or one for all"
        )
    return tuple(values) * (count // len(values))

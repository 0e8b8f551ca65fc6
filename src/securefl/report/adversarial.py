"""Adversarial training in an experiment: what is wrapped around the algorithm, what is measured, and what reports say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from securefl.federated import AdversarialTraining, Algorithm, FedAvg, LInfinity, Model, RobustAccuracy
from securefl.report.config import ExperimentConfig
from securefl.report.dealing import Dealt

_STEPS, _TEST_STEPS, _RESTARTS, _LOW, _HIGH = 7, 30, 2, 0.0, 1.0


def attacked(config: ExperimentConfig, algorithm: Algorithm) -> Algorithm:
    """The algorithm on attacked batches, where that is asked for.

    Raises:
        ConfigError: a perturbation that cannot be.
    """
    wanted = config.adversarial
    if wanted.epsilon is None or wanted.train is False:
        return algorithm
    steps = _STEPS if wanted.steps is None else wanted.steps
    return AdversarialTraining(algorithm, _ball(config, steps, wanted.step))


def evaluator(config: ExperimentConfig) -> RobustAccuracy | None:
    """What measures accuracy under attack; None where nothing is attacked.

    Raises:
        ConfigError: a perturbation that cannot be.
    """
    wanted = config.adversarial
    if wanted.epsilon is None:
        return None
    steps = _TEST_STEPS if wanted.test_steps is None else wanted.test_steps
    restarts = _RESTARTS if wanted.restarts is None else wanted.restarts
    return RobustAccuracy(_ball(config, steps, None), restarts=restarts, seed=config.data.seed)


def fitting(config: ExperimentConfig, model: Model, dealt: Dealt) -> tuple[RobustAccuracy, ...]:
    """What measures accuracy under attack, where model and all examples fit it and the attack in training; empty for no attack.

    Raises:
        ConfigError: a perturbation that cannot be, or examples outside its range; names the party.
    """
    measured = evaluator(config)
    if measured is None:
        return ()
    attacked(config, FedAvg())
    for party, dataset in dealt.clients.items():
        measured.check(model, dataset, f"party {party!r}")
    measured.check(model, dealt.test, "test")
    return (measured,)


def training_text(config: ExperimentConfig) -> str:
    """Such as "on inputs that PGD moved by up to 0.15 in 7 steps"; empty without."""
    wanted = config.adversarial
    if wanted.epsilon is None or wanted.train is False:
        return ""
    return f"on inputs that PGD moved by up to {wanted.epsilon:g} in {wanted.steps or _STEPS} steps"


def robust_text(config: ExperimentConfig, found: Mapping[str, float]) -> str:
    """Accuracy under attack of each training, and under which; empty without."""
    measured = evaluator(config)
    if measured is None or not found:
        return ""
    ball = measured.perturbation
    return (
        ", ".join(f"{arm} {value:.1%}" for arm, value in found.items())
        + f", under PGD within ±{ball.epsilon:g} ({ball.steps} steps, {measured.restarts} starts); a stronger attack may find less"
    )


def robust_dict(config: ExperimentConfig | None, found: Mapping[str, float]) -> dict[str, Any] | None:
    """The same for JSON; None without."""
    measured = None if config is None else evaluator(config)
    if measured is None:
        return None
    ball = measured.perturbation
    return {**found, "epsilon": ball.epsilon, "steps": ball.steps, "restarts": measured.restarts}


def _ball(config: ExperimentConfig, steps: int, step: float | None) -> LInfinity:
    wanted = config.adversarial
    return LInfinity(
        wanted.epsilon or 0.0,
        step=step,
        steps=steps,
        low=_LOW if wanted.low is None else wanted.low,
        high=_HIGH if wanted.high is None else wanted.high,
    )

"""What is trained, and how, as a configuration says it: model, algorithm, server optimizer, sampler, stragglers, stop."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from securefl.errors import ConfigError
from securefl.federated import (
    Algorithm,
    Averaging,
    EarlyStop,
    Everybody,
    FedAvg,
    FedBN,
    FedPer,
    FedProx,
    FixedSize,
    Model,
    RandomSubspace,
    Reinforce,
    Scaffold,
    ServerOptimizer,
    SoftmaxRegression,
    StragglerSchedule,
    Transfer,
)
from securefl.federated.evaluators import Evaluator
from securefl.federated.models import Perceptron
from securefl.federated.optimizers import FedAdagrad, FedAdam, FedAvgM, FedYogi
from securefl.report.adversarial import attacked, fitting
from securefl.report.config import ExperimentConfig
from securefl.report.dealing import Dealt

if TYPE_CHECKING:
    from securefl.federated.robust import Rule

_HIDDEN = (32,)
_HEAD = ("head*",)
_BETTER = 1e-9
"""What a metric must gain to be better: one that stays where it is has not."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """The parts of a federation that do not depend on how updates are protected.

    Args:
        model: what is trained.
        algorithm: what a party does.
        server: what the server does with the mean.
        sampler: who takes part.
        stragglers: who is slow.
        stop: what ends training early; None for nothing.
        evaluators: what is measured beside loss and accuracy.
        personal: whether each party has a model of its own, so that the shared one alone says little.
    """

    model: Model
    algorithm: Algorithm
    server: ServerOptimizer
    sampler: Everybody | FixedSize
    stragglers: StragglerSchedule
    stop: EarlyStop | None
    personal: bool
    evaluators: tuple[Evaluator, ...] = ()


def learning(config: ExperimentConfig, dealt: Dealt) -> Learning:
    """Build what a configuration names.

    Raises:
        ConfigError: a value is out of range, torch is missing, or the algorithm does not fit the model; names the file.
    """
    size, stragglers = config.sampling.size, config.stragglers
    with placed(config, "model"):
        model = _model(config, dealt)
    with placed(config, "adversarial"):
        evaluators = fitting(config, model, dealt)
    with placed(config, "training"):
        algorithm = _algorithm(config)
        algorithm.sends(model.initial(config.data.seed))  # raises where the two do not fit
    with placed(config, "stragglers"):
        slow = StragglerSchedule(
            stragglers.partial,
            stragglers.missing,
            config.data.seed if stragglers.seed is None else stragglers.seed,
        )
        # Who does part of the work is only known with the first round otherwise.
        slow.for_round(1, tuple(dealt.clients)[: size or None], getattr(algorithm, "epochs", 1))
    wanted = config.training
    return Learning(
        model=model,
        algorithm=algorithm,
        server=_server(config),
        sampler=FixedSize(size) if size else Everybody(),
        stragglers=slow,
        stop=None if wanted.early_stop == "none" else EarlyStop(wanted.early_stop, wanted.patience or 5, _BETTER),
        personal=wanted.algorithm in {"fedper", "fedbn"},
        evaluators=evaluators,
    )


def robust_rule(config: ExperimentConfig) -> Rule | None:
    """The rule over the means of groups; None where none is named."""
    from securefl.federated.robust import GeometricMedian, Krum, Median, MultiKrum, TrimmedMean

    wanted = config.robust
    attackers = 1 if wanted.attackers is None else wanted.attackers
    rules: dict[str, Rule | None] = {
        "none": None,
        "median": Median(),
        "trimmed-mean": TrimmedMean(0.2 if wanted.beta is None else wanted.beta),
        "krum": Krum(attackers),
        "multi-krum": MultiKrum(attackers),
        "geometric-median": GeometricMedian(),
    }
    return rules[wanted.rule]


@contextlib.contextmanager
def placed(config: ExperimentConfig, table: str) -> Iterator[None]:
    """Name file and table in a ConfigError that comes out of this block."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config.source or 'config'}: [{table}] {error.message}", remedy=error.remedy) from error


def _model(config: ExperimentConfig, dealt: Dealt) -> Model:
    if dealt.acting:
        from securefl.report.acting import policy

        return policy(config)
    wanted, features = config.model, dealt.test.x[0].size
    hidden = wanted.hidden or _HIDDEN
    if wanted.kind == "softmax":
        return SoftmaxRegression(features, dealt.classes)
    if wanted.kind == "perceptron":
        return Perceptron(features, dealt.classes, hidden)
    if wanted.batch_norm and (small := [name for name, own in dealt.clients.items() if len(own) < 2]):
        raise ConfigError(
            f"batch_norm: {small[0]} has 1 example, needs at least 2 to normalise a batch", remedy="have fewer parties"
        )
    from securefl.torch.network import network  # a ConfigError where torch is not installed

    return network(features, dealt.classes, hidden, batch_norm=wanted.batch_norm)


def _algorithm(config: ExperimentConfig) -> Algorithm:
    wanted = config.training
    sgd = {"epochs": wanted.epochs, "batch_size": wanted.batch_size, "learning_rate": wanted.learning_rate}
    found: Algorithm
    match wanted.algorithm:
        case "fedprox":
            found = FedProx(**sgd, mu=0.1 if wanted.mu is None else wanted.mu)  # type: ignore[arg-type]
        case "scaffold":
            found = Scaffold(**sgd)  # type: ignore[arg-type]
        case "fedper":
            found = FedPer(**sgd, keep=wanted.keep or _HEAD)  # type: ignore[arg-type]
        case "fedbn":
            found = FedBN(**sgd, keep=wanted.keep or ("*bn*",))  # type: ignore[arg-type]
        case "transfer":
            found = Transfer(**sgd, head=wanted.head or _HEAD)  # type: ignore[arg-type]
        case "reinforce":
            found = Reinforce(
                wanted.epochs,
                wanted.learning_rate,
                0.99 if wanted.discount is None else wanted.discount,
                1.0 if wanted.decay is None else wanted.decay,
            )
        case _:
            found = FedAvg(**sgd)  # type: ignore[arg-type]
    found = attacked(config, found)
    if wanted.subspace:
        found = RandomSubspace(found, wanted.subspace, config.data.seed)
    if config.robust.max_norm is not None:
        # Honest parties keep what groups are held against, or honest groups would be left out.
        from securefl.federated.robust import NormBound, NormBounded

        found = NormBounded(found, NormBound(config.robust.max_norm))
    return found


def _server(config: ExperimentConfig) -> ServerOptimizer:
    wanted = config.training
    usual = 1.0 if wanted.server in {"averaging", "fedavgm"} else 0.1
    rate = usual if wanted.server_learning_rate is None else wanted.server_learning_rate
    given = {name: getattr(wanted, name) for name in ("momentum", "beta_1", "beta_2", "tau")}
    more: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if wanted.server == "averaging":
        return Averaging(rate)
    kinds: dict[str, Any] = {"fedavgm": FedAvgM, "fedadagrad": FedAdagrad, "fedadam": FedAdam, "fedyogi": FedYogi}
    optimizer: ServerOptimizer = kinds[wanted.server](lr=rate, **more)
    return optimizer

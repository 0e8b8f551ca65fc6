"""How an owner puts its watermark into the model: a few steps on the triggers after each round, at the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from securefl.errors import ConfigError, NonFiniteError, SecureFLError
from securefl.federated.algorithms.local_sgd import positive
from securefl.federated.datasets import Dataset
from securefl.federated.models import Model, Params
from securefl.federated.ownership.recipe import whole
from securefl.federated.ownership.triggers import TriggerSet
from securefl.federated.ownership.verification import Verification, answers_of, check_alpha, tensors, verify


@dataclasses.dataclass(frozen=True, slots=True)
class Watermark:
    """What the server does with the model after each round: gradient steps on all triggers, until enough are answered as drawn.

    There is no randomness in it and no party's data: it is a function of the public model and the owner's triggers, so under
    differential privacy it is post-processing, which costs nothing.

    Args:
        triggers: the owner's, one set for the one model that all parties train.
        epochs: steps in a round, at most; the first round needs most of them.
        learning_rate: of a step.
        target: the share of triggers to be answered as drawn, in (0, 1].
        alpha: what a claim is to reach; a set too small for it is refused.

    Raises:
        ConfigError: an argument is out of range, too few triggers, or a set for each party.

    Source: Tekgul et al. 2021, WAFFLE (arXiv:2008.07298), algorithm 1, ReTrain.
    """

    triggers: TriggerSet
    epochs: int = 200
    learning_rate: float = 0.1
    target: float = 1.0
    alpha: float = 1e-6

    def __post_init__(self) -> None:
        refuse_fingerprint(self.triggers)
        if not isinstance(self.triggers, TriggerSet):
            raise ConfigError(
                f"triggers: got a {type(self.triggers).__name__}, needs a TriggerSet",
                remedy="make one with TriggerSet.generate",
            )
        whole("epochs", self.epochs, 1, 1_000_000)
        positive("learning_rate", self.learning_rate)
        positive("target", self.target)
        if self.target > 1:
            raise ConfigError(f"target: got {self.target}, needs a share in (0, 1]", remedy="use target=1.0")
        check_alpha(self.triggers, self.alpha)

    def __repr__(self) -> str:
        return f"<Watermark: {self.triggers!r}, at most {self.epochs} steps at rate {self.learning_rate:g}>"

    def embed(self, model: Model, params: Params, trained: Iterable[str] | None = None) -> Params:
        """Return the parameters after the steps; those given stay as they are.

        Args:
            model: gives answers and gradients.
            params: the aggregate.
            trained: names of the tensors that may change; all by default.

        Raises:
            ConfigError: the model cannot take the triggers, or has no tensor of a name in `trained`.
            NonFiniteError: the aggregate is not finite, or the steps diverged.
        """
        x, y = self.triggers.x, self.triggers.y
        marked = dict(tensors(params))
        names = frozenset(params if trained is None else [trained] if isinstance(trained, str) else trained)
        if unknown := sorted(names - marked.keys()):
            raise ConfigError(
                f"trained: the model has no tensor {unknown[0]!r}", remedy=f"its tensors are {', '.join(marked)}"
            )
        for name, leaf in marked.items():
            if not np.isfinite(leaf).all():
                raise NonFiniteError(
                    f"watermark: tensor {name!r} has values that are not finite before any step on the triggers",
                    tensor=name,
                    remedy="lower the learning rates of the training",
                )
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.epochs):
                if (answers_of(model, marked, self.triggers) == y).mean() >= self.target:
                    break
                for name, gradient in gradient_of(model, marked, x, y).items():
                    if name in names:
                        leaf = marked[name]
                        if np.shape(gradient) != leaf.shape:
                            raise ConfigError(
                                f"watermark: the model's gradient for {name!r} has shape {np.shape(gradient)}, needs {leaf.shape}",
                                remedy="return the gradient of each tensor from loss_and_gradient",
                            )
                        marked[name] = (leaf - self.learning_rate * gradient).astype(leaf.dtype)
        for name, leaf in marked.items():
            if not np.isfinite(leaf).all():
                raise NonFiniteError(
                    f"watermark: the steps on the triggers diverged in tensor {name!r}",
                    tensor=name,
                    remedy=f"use a learning_rate below {self.learning_rate:g}",
                )
        return marked

    def metrics(self, model: Model, params: Params, before: Params, test: Dataset | None) -> dict[str, float]:
        """Return the share of triggers answered as drawn, and the p-value of a claim, as a round's record has them.

        Args:
            model: gives answers.
            params: after the steps.
            before: the aggregate.
            test: examples on which the aggregate's accuracy is measured too, as `accuracy_before_watermark`, if the model measures one.
        """
        found = self.verify(model, params)
        metrics = {"watermark_accuracy": found.matches / found.size, "watermark_p_value": found.p_value}
        if test is not None and "accuracy" in (measured := model.evaluate(before, test)):
            metrics["accuracy_before_watermark"] = measured["accuracy"]
        return metrics

    def verify(self, model: Model, params: Params) -> Verification:
        """As `verify`, at this watermark's alpha."""
        return verify(model, params, self.triggers, alpha=self.alpha)


def refuse_fingerprint(asked: object) -> None:
    """Refuse a set of triggers for each party.

    Raises:
        ConfigError: it is one; says why, and what to use instead.
    """
    if isinstance(asked, Mapping | list | tuple | set):
        raise ConfigError(
            f"watermark: got {len(asked)} sets by party, a fingerprint in each party's model. All parties must train the same model: "
            "under one plan the round is bound to its digest, so that a server cannot hand one party a model of its own, which is how "
            "updates are taken apart; and sums over updates of different models mean nothing",
            remedy="use one TriggerSet for the model; to find who passed it on, mark the copies that are handed out after training",
        )


def gradient_of(model: Model, params: Params, x: np.ndarray, y: np.ndarray) -> Params:
    """The gradient of the model's loss on the triggers.

    Raises:
        ConfigError: the model cannot be trained on them.
    """
    try:
        return model.loss_and_gradient(params, x, y)[1]
    except SecureFLError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"watermark: the model cannot be trained on these triggers: {type(error).__name__}",
            remedy="use triggers in the shape and with the classes of the model",
        ) from error

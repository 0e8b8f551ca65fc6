"""What federated training asks of a model, and a model in numpy that meets it."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset

Params: TypeAlias = dict[str, npt.NDArray[Any]]
"""A model's parameters, or anything of their shape (a gradient, an update), by tensor name."""


class Model(Protocol):
    """A model as functions of its parameters; it holds no state, so one object serves all parties."""

    def initial(self, seed: int) -> Params:
        """Return the parameters that training starts from."""

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """Return the mean training loss over a batch and its gradient, in the dtypes of `params`."""

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the predicted label of each row of `x`, integer, (n,)."""

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """Return the mean "loss" and the "accuracy" (in [0, 1]) over a data set."""


@dataclasses.dataclass(frozen=True, slots=True)
class SoftmaxRegression:
    """Multinomial logistic regression, trained by cross-entropy (in nats).

    Args:
        features: d; inputs (n, ...) are flattened to (n, d).
        classes: k; labels are 0..k-1.
        l2: weight of the penalty l2/2 * |weight|² in training; `evaluate` reports the loss without it.

    Parameters are float32: "weight" (d, k) and "bias" (k,). They start at zero, since the loss is convex.

    Raises:
        ConfigError: an argument is out of range.
    """

    features: int
    classes: int
    l2: float = 0.0

    def __post_init__(self) -> None:
        if self.features < 1 or self.classes < 2 or not self.l2 >= 0:
            raise ConfigError(f"got {self}, needs features >= 1, classes >= 2 and l2 >= 0")

    def initial(self, seed: int) -> Params:  # noqa: ARG002 - zeros need no seed, other models do
        """Return zeros."""
        return {
            "weight": np.zeros((self.features, self.classes), dtype=np.float32),
            "bias": np.zeros(self.classes, dtype=np.float32),
        }

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """Return the mean cross-entropy plus penalty over (x, y), and its gradient, in the dtypes of `params`."""
        inputs, weight = self._flat(x), params["weight"]
        log_probabilities = self._log_probabilities(params, inputs)
        rows = np.arange(len(y))
        loss = -log_probabilities[rows, y].mean()
        residual = np.exp(log_probabilities)
        residual[rows, y] -= 1.0
        residual /= len(y)
        gradient = {"weight": inputs.T @ residual, "bias": residual.sum(axis=0)}
        if self.l2:
            loss += 0.5 * self.l2 * np.vdot(weight, weight)
            gradient["weight"] += self.l2 * weight
        return float(loss), {name: leaf.astype(params[name].dtype, copy=False) for name, leaf in gradient.items()}

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the most likely class of each row, int64, (n,)."""
        labels: npt.NDArray[np.int64] = (self._flat(x) @ params["weight"] + params["bias"]).argmax(axis=1)
        return labels

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """Return the mean cross-entropy as "loss" and the share of correct predictions as "accuracy"."""
        log_probabilities = self._log_probabilities(params, self._flat(dataset.x))
        return {
            "loss": float(-log_probabilities[np.arange(len(dataset)), dataset.y].mean()),
            "accuracy": float((log_probabilities.argmax(axis=1) == dataset.y).mean()),
        }

    def _flat(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return x.reshape(len(x), self.features)

    @staticmethod
    def _log_probabilities(params: Params, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        logits = inputs @ params["weight"] + params["bias"]
        # The largest logit becomes 0, so that no exponential overflows and their sum is at least 1.
        logits -= logits.max(axis=1, keepdims=True)
        log_probabilities: npt.NDArray[Any] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return log_probabilities

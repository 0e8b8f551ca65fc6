"""What federated training asks of a model, and a model in numpy that meets it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset
from securefl.federated.seeds import Use, generator

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

    def input_gradient(
        self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return each example's own loss, (n,), and its gradient by the example, of the shape of `x`; both float64."""
        weight = params["weight"].astype(np.float64)
        log_probabilities = _log_softmax(self._flat(x) @ weight + params["bias"])
        losses, residual = _own(log_probabilities, y)
        return losses, (residual @ weight.T).reshape(x.shape)

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
        return _log_softmax(inputs @ params["weight"] + params["bias"])


@dataclasses.dataclass(frozen=True, slots=True)
class Perceptron:
    """A multilayer perceptron in numpy: ReLU between layers, trained by cross-entropy (in nats).

    Args:
        features: d; inputs (n, ...) are flattened to (n, d).
        classes: k; labels are 0..k-1.
        hidden: widths of the layers between.

    Parameters are float32: "layer0.weight" (d, h), "layer0.bias" (h,), and so on; the last layer is called "head".

    Raises:
        ConfigError: an argument is out of range.
    """

    features: int
    classes: int
    hidden: tuple[int, ...] = (32,)

    def __post_init__(self) -> None:
        if self.features < 1 or self.classes < 2 or not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"got {self}, needs features >= 1, classes >= 2 and hidden widths >= 1")

    def initial(self, seed: int) -> Params:
        """Return weights uniform in +-sqrt(6 / fan-in), and biases of zero.

        Source: He et al. 2015 (arXiv:1502.01852), section 2.2.
        """
        rng = generator(seed, Use.INITIAL)
        params: Params = {}
        for name, rows, columns in self._layers():
            limit = math.sqrt(6 / rows)
            params[f"{name}.weight"] = rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)
            params[f"{name}.bias"] = np.zeros(columns, dtype=np.float32)
        return params

    def loss_and_gradient(self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[float, Params]:
        """Return the mean cross-entropy over (x, y), and its gradient, in the dtypes of `params`."""
        inputs = [x.reshape(len(x), self.features)]
        names = [name for name, _, _ in self._layers()]
        for name in names[:-1]:
            inputs.append(np.maximum(inputs[-1] @ params[f"{name}.weight"] + params[f"{name}.bias"], 0))
        log_probabilities = self._log_probabilities(params, x)
        rows = np.arange(len(y))
        residual = np.exp(log_probabilities)
        residual[rows, y] -= 1.0
        residual /= len(y)
        gradient: Params = {}
        for name, layer in zip(reversed(names), reversed(inputs), strict=True):
            gradient[f"{name}.weight"] = layer.T @ residual
            gradient[f"{name}.bias"] = residual.sum(axis=0)
            residual = (residual @ params[f"{name}.weight"].T) * (layer > 0)
        loss = -float(log_probabilities[rows, y].mean())
        return loss, {name: gradient[name].astype(leaf.dtype, copy=False) for name, leaf in params.items()}

    def input_gradient(
        self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return each example's own loss, (n,), and its gradient by the example, of the shape of `x`; both float64."""
        names = [name for name, _, _ in self._layers()]
        weights = {name: params[f"{name}.weight"].astype(np.float64) for name in names}
        layers = [x.reshape(len(x), self.features).astype(np.float64)]
        for name in names[:-1]:
            layers.append(np.maximum(layers[-1] @ weights[name] + params[f"{name}.bias"], 0))
        losses, residual = _own(_log_softmax(layers[-1] @ weights["head"] + params["head.bias"]), y)
        for name, layer in zip(reversed(names[1:]), reversed(layers[1:]), strict=True):
            residual = (residual @ weights[name].T) * (layer > 0)
        return losses, (residual @ weights[names[0]].T).reshape(x.shape)

    def predict(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the most likely class of each row, int64, (n,)."""
        labels: npt.NDArray[np.int64] = self._log_probabilities(params, x).argmax(axis=1)
        return labels

    def evaluate(self, params: Params, dataset: Dataset) -> dict[str, float]:
        """Return the mean cross-entropy as "loss" and the share of correct predictions as "accuracy"."""
        log_probabilities = self._log_probabilities(params, dataset.x)
        return {
            "loss": float(-log_probabilities[np.arange(len(dataset)), dataset.y].mean()),
            "accuracy": float((log_probabilities.argmax(axis=1) == dataset.y).mean()),
        }

    def _layers(self) -> list[tuple[str, int, int]]:
        widths = (self.features, *self.hidden, self.classes)
        names = [*(f"layer{i}" for i in range(len(self.hidden))), "head"]
        return [(name, widths[i], widths[i + 1]) for i, name in enumerate(names)]

    def _log_probabilities(self, params: Params, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        layer = x.reshape(len(x), self.features)
        for name, _, _ in self._layers()[:-1]:
            layer = np.maximum(layer @ params[f"{name}.weight"] + params[f"{name}.bias"], 0)
        logits = layer @ params["head.weight"] + params["head.bias"]
        return _log_softmax(logits)


def _log_softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # The largest logit becomes 0, so that no exponential overflows and their sum is at least 1.
    logits = logits - logits.max(axis=1, keepdims=True)
    log_probabilities: npt.NDArray[Any] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probabilities


def _own(
    log_probabilities: npt.NDArray[np.float64], y: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each example's cross-entropy, and its gradient by the logits.

    That of the true class is minus the sum of the others, and not its probability minus one: where the model is sure that is
    rounded to zero, and an attack that follows the gradient would stand still and call the model robust.
    """
    rows = np.arange(len(y))
    residual = np.exp(log_probabilities)
    residual[rows, y] = 0.0
    residual[rows, y] = -residual.sum(axis=1)
    return -log_probabilities[rows, y], residual

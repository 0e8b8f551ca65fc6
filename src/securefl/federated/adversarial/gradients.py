"""What an attack on inputs asks of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.models import Model, Params

Array: TypeAlias = npt.NDArray[Any]
Gradient: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]
"""Of examples and labels: each example's own loss, (n,), and its gradient by the example, of the examples' shape."""

Attack: TypeAlias = Callable[[Gradient, Array, Array], Array]
"""Of a gradient, examples and labels: the examples as the attack leaves them."""


@runtime_checkable
class GivesInputGradients(Protocol):
    """A model that says how its loss changes with its input."""

    def input_gradient(
        self, params: Params, x: npt.NDArray[Any], y: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return each example's own loss, (n,), and its gradient by the example, of the shape of `x`."""


@runtime_checkable
class TrainsOnAttacks(Protocol):
    """A model that brings its own training loop, and can put an attack into it."""

    def attacked(self, attack: Attack) -> Model:
        """The same model, whose loop trains on each batch as `attack` leaves it."""


def gradient_of(model: Model, params: Params) -> Gradient:
    """The model's gradient by its inputs, at these parameters.

    Raises:
        ConfigError: it offers none.
    """
    giving = offering(model)
    return lambda x, y: giving.input_gradient(params, x, y)


def offering(model: Model) -> GivesInputGradients:
    """The model, as one that offers gradients by its inputs.

    Raises:
        ConfigError: it offers none.
    """
    if not isinstance(model, GivesInputGradients):
        raise ConfigError(
            f"model: {type(model).__name__} has no input_gradient(params, x, y), and an attack within a bound follows it",
            remedy="use SoftmaxRegression, Perceptron or TorchModel, or give your model that method",
        )
    return model

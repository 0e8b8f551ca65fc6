"""What reinforcement learning asks of a policy, and a policy in numpy that meets it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.models import Params
from securefl.federated.reinforcement.environment import VectorEnvironment, finite_number
from securefl.federated.reinforcement.rollout import mean_return
from securefl.federated.seeds import Use, generator

Chances: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]


@runtime_checkable
class Policy(Protocol):
    """A policy as functions of its parameters; it holds no state, so one object serves all parties.

    Attributes:
        observations: d, values that it sees.
        actions: how many it chooses from.
        returns: the least and the largest return of an episode, in which parties' mean returns are aggregated.
    """

    @property
    def observations(self) -> int:
        """Of one copy."""

    @property
    def actions(self) -> int:
        """From 0."""

    @property
    def returns(self) -> tuple[float, float]:
        """(least, largest)."""

    def initial(self, seed: int) -> Params:
        """Return the parameters that training starts from."""

    def acting(self, params: Params) -> Chances:
        """Return the function from observations (n, d) to each action's probability, (n, actions)."""

    def loss_and_gradient(
        self,
        params: Params,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        advantages: npt.NDArray[Any],
    ) -> tuple[float, Params]:
        """Return the mean of -advantage * log probability of what was done, and its gradient, in the dtypes of `params`."""

    def evaluate(self, params: Params, environment: VectorEnvironment) -> dict[str, float]:
        """Return the mean "return" over one episode of each copy, with the likeliest action in each step."""


@dataclasses.dataclass(frozen=True, slots=True)
class PerceptronPolicy:
    """A multilayer perceptron in numpy: tanh between layers, a softmax over actions at the end.

    Args:
        observations: d.
        actions: k.
        hidden: widths of the layers between; () makes it linear.
        returns: the least and the largest return of an episode; CartPole's unless given.

    Parameters are float32: "layer0.weight" (d, h), "layer0.bias" (h,), and so on; the last layer is called "head".

    Raises:
        ConfigError: an argument is out of range.
    """

    observations: int = 4
    actions: int = 2
    hidden: tuple[int, ...] = (16,)
    returns: tuple[float, float] = (0.0, 500.0)

    def __post_init__(self) -> None:
        widths = (self.observations, *self.hidden)
        if self.actions < 2 or any(isinstance(w, bool) or not isinstance(w, int) or w < 1 for w in widths):
            raise ConfigError(f"got {self}, needs observations >= 1, actions >= 2 and hidden widths >= 1")
        check_returns(self.returns)

    def initial(self, seed: int) -> Params:
        """Return weights uniform in +-sqrt(3 / fan-in) and a head of zeros, so that at first all actions are as likely."""
        rng = generator(seed, Use.INITIAL)
        params: Params = {}
        for name, rows, columns in self._layers():
            limit = math.sqrt(3 / rows) if name != "head" else 0.0
            params[f"{name}.weight"] = rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)
            params[f"{name}.bias"] = np.zeros(columns, dtype=np.float32)
        return params

    def acting(self, params: Params) -> Chances:
        """Return the function from observations (n, d) to each action's probability, float64, (n, actions)."""
        return lambda observations: _softmax(self._forward(params, observations)[-1])

    def loss_and_gradient(
        self,
        params: Params,
        observations: npt.NDArray[Any],
        actions: npt.NDArray[Any],
        advantages: npt.NDArray[Any],
    ) -> tuple[float, Params]:
        """Return the mean of -advantage * log probability of what was done, and its gradient, in the dtypes of `params`.

        Args:
            params: of this policy.
            observations: (n, d).
            actions: integers, (n,).
            advantages: (n,).
        """
        *layers, logits = self._forward(params, observations)
        rows = np.arange(len(actions))
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -float(np.mean(advantages * log_probabilities[rows, actions]))
        residual = np.exp(log_probabilities)
        residual[rows, actions] -= 1.0
        residual *= (advantages / len(actions)).astype(residual.dtype)[:, None]
        gradient: Params = {}
        for (name, _, _), layer in zip(reversed(self._layers()), reversed(layers), strict=True):
            gradient[f"{name}.weight"] = layer.T @ residual
            gradient[f"{name}.bias"] = residual.sum(axis=0)
            residual = (residual @ params[f"{name}.weight"].T) * (1.0 - np.square(layer))
        return loss, {name: gradient[name].astype(leaf.dtype, copy=False) for name, leaf in params.items()}

    def evaluate(self, params: Params, environment: VectorEnvironment) -> dict[str, float]:
        """Return the mean "return" over one episode of each copy, always from the same starts, with the likeliest action in each step."""
        return {"return": mean_return(self, params, environment)}

    def _layers(self) -> list[tuple[str, int, int]]:
        widths = (self.observations, *self.hidden, self.actions)
        names = [*(f"layer{i}" for i in range(len(self.hidden))), "head"]
        return [(name, widths[i], widths[i + 1]) for i, name in enumerate(names)]

    def _forward(self, params: Params, observations: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The input of each layer, and the logits, in the dtype of `params`."""
        found = [observations.astype(params["head.weight"].dtype, copy=False)]
        for number, (name, _, _) in enumerate(self._layers()):
            out = found[-1] @ params[f"{name}.weight"] + params[f"{name}.bias"]
            found.append(np.tanh(out) if number < len(self.hidden) else out)
        return found


def check_returns(returns: object) -> None:
    """Check the range of returns.

    Raises:
        ConfigError: it is none.
    """
    ok = isinstance(returns, tuple) and len(returns) == 2 and all(map(finite_number, returns))
    if not ok or not returns[0] < returns[1]:  # type: ignore[index]
        raise ConfigError(f"returns: got {returns!r}, needs (least, largest), finite", remedy="use (0.0, 500.0)")


def metrics_of(model: object) -> Mapping[str, tuple[float, float]] | None:
    """Return what a policy's parties report and its range; None for another model."""
    return {"return": model.returns} if isinstance(model, Policy) else None


def _softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    # The largest logit becomes 0, so that no exponential overflows.
    raised: npt.NDArray[np.float64] = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised

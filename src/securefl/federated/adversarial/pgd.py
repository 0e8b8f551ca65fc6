"""Projected gradient descent on inputs: steps along the sign of the loss's gradient, back into the ball after each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from securefl.errors import ConfigError
from securefl.federated.adversarial.gradients import Array, Gradient
from securefl.federated.adversarial.perturbation import LInfinity


def ascend(gradient: Gradient, x: Array, y: Array, within: LInfinity, rng: np.random.Generator) -> Array:
    """One run of the attack from one start; returns where it ends, of the shape and dtype of `x`.

    Args:
        gradient: of the model, by its inputs.
        x: examples in the range of `within`, (n, ...), float.
        y: their labels, (n,).
        within: the ball, and the steps.
        rng: of the start.

    Source: Madry et al. 2018 (arXiv:1706.06083), equation in section 2.1.
    """
    moved = x.astype(np.float64)
    if within.random_start:
        moved = within.project(moved + rng.uniform(-within.epsilon, within.epsilon, x.shape), x)
    for _ in range(within.steps):
        _, slope = gradient(moved.astype(x.dtype), y)
        moved = within.project(moved + within.step_size * np.sign(slope), x)
    return _rounded(moved, x, within)


def runs(
    gradient: Gradient, x: Array, y: Array, within: LInfinity, *, restarts: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Where `restarts` runs of the attack end, one after the other.

    Raises:
        ConfigError: `restarts` is not positive.
    """
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 1:
        raise ConfigError(f"restarts: got {restarts!r}, needs at least 1", remedy="use restarts=2")
    for _ in range(restarts):
        yield ascend(gradient, x, y, within, rng)


def strongest(
    gradient: Gradient, x: Array, y: Array, within: LInfinity, *, restarts: int = 1, rng: np.random.Generator
) -> Array:
    """Of several runs, and of leaving the input alone, for each example the one with the largest loss: never less than the clean one's.

    Args:
        gradient: of the model, by its inputs.
        x: examples in the range of `within`, (n, ...), float.
        y: their labels, (n,).
        within: the ball, and the steps.
        restarts: how many runs, from as many starts.
        rng: of the starts.

    Raises:
        ConfigError: `restarts` is not positive.
    """
    best = x.copy()
    most, _ = gradient(best, y)
    for moved in runs(gradient, x, y, within, restarts=restarts, rng=rng):
        losses, _ = gradient(moved, y)
        better = losses > most
        best[better], most = moved[better], np.where(better, losses, most)
    return best


def _rounded(moved: Array, x: Array, within: LInfinity) -> Array:
    """In the dtype of `x`, and still within the bounds: rounding may leave them by the last bit."""
    rounded = moved.astype(x.dtype)
    outside = (
        (np.abs(np.subtract(rounded, x, dtype=np.float64)) > within.epsilon)
        | (rounded.astype(np.float64) > within.high)
        | (rounded.astype(np.float64) < within.low)
    )
    if outside.any():
        rounded[outside] = np.nextafter(rounded[outside], x[outside])
    return rounded

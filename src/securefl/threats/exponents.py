"""An input from the exponents of its gradient, which phe's default encoding of floats leaves in clear beside each ciphertext.

phe writes a float as an integer times 16^exponent. It encrypts the integer, and the exponent follows from the size of the
float: e stands for 16^(e + 13) <= |v| < 16^(e + 14). Zero has the exponent of numbers in [1/16, 1).

The gradient of a linear layer under softmax and cross-entropy, at one example x, is the outer product of x and p - y. Its
logarithms are sums, log|x_j| + log|p_k - y_k|, and each exponent says between which whole numbers such a sum is. One class
tells a pixel within a factor of 16; ten classes are ten rulers with different origins, and together they are fine.

No key and no ciphertext is used, and nothing about the model but its shape. Exponents that are the same for all values, as
those of a fixed precision or of integers, say nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError

Floats = npt.NDArray[np.float64]
Exponents = npt.NDArray[np.int64]

_MANTISSA_BITS: Final = 53
_BASE_BITS: Final = 4
_ZERO: Final = -14
"""The exponent of 0."""

_SWEEPS: Final = 400
_DISCARDED: Final = 100
"""Sweeps before the sampler has forgotten where it started."""


def phe_exponents(values: npt.NDArray[Any]) -> Exponents:
    """Return the exponents that phe publishes for floats, without phe.

    Args:
        values: finite floats, of any shape.

    Returns:
        int64, of the same shape.

    Source: phe 1.5, `EncodedNumber.encode` without precision.
    """
    _, binary = np.frexp(np.asarray(values, dtype=np.float64))
    return (binary.astype(np.int64) - _MANTISSA_BITS) // _BASE_BITS


def recover_input(weight: npt.NDArray[Any], bias: npt.NDArray[Any], *, seed: int = 0) -> Floats | None:
    """Return the input whose gradient at a softmax layer has these exponents, or None when they say nothing about it.

    The estimate is the mean of what fits the exponents, by Gibbs sampling: pixels uniform in [0, 1], residuals |p_k - y_k|
    log-uniform below 1; then the brightest pixel is set to 1. A pixel whose exponents are all those of zero is taken for
    zero. So it is wrong about bright pixels while every residual is 1/16 or more: at a model of zeros, which holds all
    classes for equally likely, bright and black look alike.

    Args:
        weight: exponents of the gradient of the weights, integers, (features, classes), of one example.
        bias: exponents of the gradient of the bias, integers, (classes,).
        seed: of the sampler.

    Returns:
        float64, (features,), in [0, 1]; None if all features have the same exponents.

    Raises:
        ConfigError: other shapes, or no integers.
    """
    _check(weight, bias)
    if (weight == weight[0]).all():
        return None
    seen = (weight != _ZERO).any(axis=1)
    # The bias is one more pixel, of which the attacker knows that it is 1. A class of zeros only has no residual to find.
    table = np.vstack((weight[seen], bias))
    floors = table[:, (table != _ZERO).any(axis=0)] - _ZERO - 1.0
    found = np.zeros(len(weight))
    found[seen] = _mean_pixels(floors, np.random.default_rng(seed))
    scaled: Floats = found / found.max()
    return scaled


def _mean_pixels(floors: Floats, rng: np.random.Generator) -> Floats:
    """The mean of pixels over what fits: floors <= log16 x_j + log16 r_k < floors + 1, the last x being 1."""
    residuals = np.minimum(floors[-1] + 0.5, 0.0)
    total = np.zeros(len(floors) - 1)
    for sweep in range(_SWEEPS):
        low, high = _interval(floors - residuals, axis=1)
        pixels = 16.0**low + rng.random(low.size) * (16.0**high - 16.0**low)
        pixels[-1] = 1.0
        low, high = _interval(floors - np.log2(pixels)[:, np.newaxis] / _BASE_BITS, axis=0)
        residuals = low + rng.random(low.size) * (high - low)
        if sweep >= _DISCARDED:
            total += pixels[:-1]
    return total / (_SWEEPS - _DISCARDED)


def _interval(floors: Floats, axis: int) -> tuple[Floats, Floats]:
    """What lies above all floors and within 1 of each, and is not above 0; turned round while nothing does."""
    low, high = floors.max(axis=axis), np.minimum(floors.min(axis=axis) + 1, 0.0)
    return np.minimum(low, high), np.maximum(low, high)


def _check(weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
    if weight.ndim != 2 or bias.shape != weight.shape[1:] or not weight.size:
        raise ConfigError(
            f"got exponents of shapes {weight.shape} and {bias.shape}, needs (features, classes) and (classes,)"
        )
    if weight.dtype.kind not in "iu" or bias.dtype.kind not in "iu":
        raise ConfigError(f"got exponents of dtypes {weight.dtype} and {bias.dtype}, needs integers")

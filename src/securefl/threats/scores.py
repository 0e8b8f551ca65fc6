"""How near to the truth an attack came."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError


def correlation(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Return Pearson's correlation, -1 to 1.

    Args:
        found: of any shape.
        truth: of the same.

    Raises:
        ConfigError: different shapes, or one of the two is constant: a correlation is then undefined.
    """
    _check(found, truth)
    if np.ptp(found) == 0 or np.ptp(truth) == 0:
        raise ConfigError(
            "the correlation with a constant is undefined", remedy="say that nothing was found, or use psnr"
        )
    return float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])


def psnr(found: npt.NDArray[Any], truth: npt.NDArray[Any], *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, 10 log10(peak² / mean squared error); inf when they are equal.

    Args:
        found: of any shape.
        truth: of the same.
        peak: the largest value that a pixel may have.

    Raises:
        ConfigError: different shapes.
    """
    _check(found, truth)
    error = float(np.mean(np.square(found.astype(np.float64) - truth)))
    return float(10 * np.log10(peak**2 / error)) if error else float("inf")


def _check(found: npt.NDArray[Any], truth: npt.NDArray[Any]) -> None:
    if found.shape != truth.shape or not truth.size:
        raise ConfigError(f"got shapes {found.shape} and {truth.shape}, needs equal ones that are not empty")

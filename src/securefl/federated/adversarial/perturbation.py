"""How far an input may be moved: the l-infinity ball, within the range that inputs have."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError
from securefl.federated.datasets import Dataset


@dataclasses.dataclass(frozen=True, slots=True)
class LInfinity:
    """Every value of an input may be moved by at most epsilon, and stays in [low, high]; how many steps an attack takes there.

    Args:
        epsilon: the bound, in the unit of the inputs; above 0 and below high - low.
        step: how far one step goes; by default 2.5 epsilon / steps, so that the edge can be reached from everywhere.
        steps: of the attack.
        low: the least value that an input may have.
        high: the largest.
        random_start: begin at a random point of the ball, and not at the input itself.

    Raises:
        ConfigError: an argument is out of range.

    Source: Madry et al. 2018, Towards deep learning models resistant to adversarial attacks (arXiv:1706.06083), section 2.1.
    """

    epsilon: float
    step: float | None = None
    steps: int = 7
    low: float = 0.0
    high: float = 1.0
    random_start: bool = True

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not _number(getattr(self, name)):
                raise ConfigError(
                    f"{name}: got {getattr(self, name)!r}, needs a finite number", remedy=f"use {name}=0.0"
                )
        if not self.low < self.high:
            raise ConfigError(
                f"low and high: got {self.low:g} and {self.high:g}, needs low < high", remedy="give the inputs' range"
            )
        if not _number(self.epsilon) or not self.epsilon > 0:
            raise ConfigError(f"epsilon: got {self.epsilon!r}, needs a finite number > 0", remedy="use epsilon=0.1")
        if self.high - self.low == float("inf"):
            raise ConfigError(
                f"low and high: got {self.low:g} and {self.high:g}, which are farther apart than a float can say",
                remedy="give the inputs' range",
            )
        if self.epsilon >= self.high - self.low:
            raise ConfigError(
                f"epsilon: got {self.epsilon:g}, needs less than {self.high - self.low:g}, the width of the inputs' range "
                f"[{self.low:g}, {self.high:g}]: any input could become any other",
                remedy="lower epsilon, or give the range that the inputs really have",
            )
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ConfigError(f"steps: got {self.steps!r}, needs at least 1", remedy="use steps=7")
        if self.step is not None and (not _number(self.step) or not self.step > 0):
            raise ConfigError(f"step: got {self.step!r}, needs a finite number > 0", remedy="leave it out")
        if not isinstance(self.random_start, bool):
            raise ConfigError(f"random_start: got {self.random_start!r}, needs True or False")

    @property
    def step_size(self) -> float:
        """How far one step goes."""
        return 2.5 * self.epsilon / self.steps if self.step is None else self.step

    def check(self, dataset: Dataset, whose: str) -> None:
        """Check that examples lie in the range that they are said to have.

        Args:
            dataset: the examples.
            whose: for the error, such as "party 'a'".

        Raises:
            ConfigError: a value is not finite, or outside [low, high].
        """
        x = np.asarray(dataset.x)
        if bad := int(x.size - np.isfinite(x).sum()):
            raise ConfigError(
                f"{whose}: {bad} of {x.size} values of its examples are not finite", remedy="look for NaN"
            )
        # The bounds in the examples' own dtype: 0.1 in float32 is a little more than 0.1.
        with np.errstate(over="ignore"):  # a bound beyond the dtype's range is infinite there, and holds
            low, high = np.asarray([self.low, self.high]).astype(x.dtype)
        if x.size and not (low <= x.min() and x.max() <= high):
            raise ConfigError(
                f"{whose}: its examples have values from {x.min():.6g} to {x.max():.6g}, the perturbation keeps inputs within "
                f"[{self.low:g}, {self.high:g}]",
                remedy="give low and high the range of the data, or scale the data to it",
            )

    def project(self, moved: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The nearest points to `moved` that are within epsilon of `x` and in [low, high]; float64, of their shape."""
        near = np.clip(moved, np.subtract(x, self.epsilon, dtype=np.float64), np.add(x, self.epsilon, dtype=np.float64))
        projected: npt.NDArray[Any] = np.clip(near, self.low, self.high)
        return projected


def _number(value: object) -> bool:
    # Compared and not asked of math.isfinite: a whole number may be beyond all floats.
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) <= sys.float_info.max

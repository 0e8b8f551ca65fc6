"""What a generated trigger set is drawn from, beside its secret seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import RandomSource
from securefl.errors import ConfigError

MOST_AXES: Final = 16
"""Of an input; numpy itself ends at 32 or 64."""
MOST_VALUES: Final = 1 << 24
"""Values of all inputs together: 100 pictures of 224 x 224 x 3 are fewer."""
_BITS: Final = 24
"""Of a float32 in [0, 1)."""
_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """Shape, classes, number and range of a generated set.

    Raises:
        ConfigError: one is out of range.
    """

    shape: tuple[int, ...]
    classes: int
    size: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.shape:
            raise ConfigError("shape: got (), needs at least one axis", remedy="use shape=(64,)")
        if len(self.shape) > MOST_AXES:
            raise ConfigError(
                f"shape: got {len(self.shape)} axes, needs at most {MOST_AXES}", remedy="use shape=(3, 32, 32)"
            )
        # As integers and floats of Python, which a file's JSON can hold: classes often come from numpy.
        object.__setattr__(self, "shape", tuple(whole("shape", length, 1, MOST_VALUES) for length in self.shape))
        object.__setattr__(self, "classes", whole("classes", self.classes, 2, 1_000_000))
        object.__setattr__(self, "size", whole("size", self.size, 1, 10_000))
        if self.size * math.prod(self.shape) > MOST_VALUES:
            raise ConfigError(
                f"{self.size} triggers of shape {self.shape} have more than {MOST_VALUES} values",
                remedy="use fewer triggers",
            )
        for name in ("low", "high"):
            value = getattr(self, name)
            real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
            # Not NaN, not infinite, and no integer too long for a float: none of them lies within the bounds.
            if not real or not -_LARGEST <= value <= _LARGEST:
                raise ConfigError(
                    f"{name}: got {value!s:.40}, needs a finite number in float32", remedy="use low=0.0, high=1.0"
                )
            object.__setattr__(self, name, float(value))
        if not self.low < self.high:
            raise ConfigError(f"low and high: got {self.low} and {self.high}, needs low < high", remedy="swap them")

    def inputs(self, random: RandomSource) -> npt.NDArray[np.float32]:
        """Uniform inputs, (size, *shape), float32: 24 bits each of what the source gives."""
        words = np.frombuffer(random.token(4 * self.size * math.prod(self.shape)), "<u4")
        unit = (words >> np.uint32(32 - _BITS)).astype(np.float64) / (1 << _BITS)
        return (self.low + (self.high - self.low) * unit).astype(np.float32).reshape(self.size, *self.shape)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` gave; a TypeError or ConfigError where it is none."""
        return cls(**{**data, "shape": tuple(data["shape"])})


def whole(name: str, value: object, least: int, most: int) -> int:
    """Check an integer's range.

    Raises:
        ConfigError: it is none, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ConfigError(f"{name}: got {value!r}, needs an integer in {least}..{most}", remedy=f"correct {name}")
    return int(value)

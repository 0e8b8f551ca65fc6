"""Fixed-point encoding: floats to small integers by unbiased rounding, integers as they are."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.encoding.rounding import stochastic_round
from securefl.errors import EncodingError, NonFiniteError, SaturationError, UnsafePlanError

_BLOCK: Final = 1 << 15
"""Values encoded at once: the temporaries, 8 bytes a value each, stay in the processor's cache."""


class Saturation(enum.StrEnum):
    """What becomes of a value outside the bound: clamped to it and counted, or refused."""

    CLAMP = "clamp"
    REFUSE = "refuse"


@dataclasses.dataclass(frozen=True, slots=True)
class FixedPoint:
    """The grid of step bound / Q on [-bound, bound], for plans without differential privacy.

    Args:
        value_bits: bits of an encoded value with its sign, 4 to 32; |q| <= Q = 2^(value_bits - 1) - 1.
        bound: largest absolute value of a float coordinate, 1e-100 to 1e100, in the update's own unit.
        on_saturation: what becomes of larger ones; a `Saturation` or its string.

    Raises:
        UnsafePlanError: an argument out of range.

    Source: protocol.md, Ring and encoding.
    """

    value_bits: int = 16
    bound: float = 1.0
    on_saturation: Saturation = Saturation.CLAMP

    def __post_init__(self) -> None:
        if type(self.value_bits) is not int or not 4 <= self.value_bits <= 32:
            raise UnsafePlanError(
                "value_bits out of range",
                value=self.value_bits,
                bound="an integer, 4..32",
                remedy="16 bits suit most models",
            )
        # Finite would not do: near the ends of float64 the scale, or a decoded sum, overflows.
        if isinstance(self.bound, bool) or not isinstance(self.bound, int | float) or not 1e-100 <= self.bound <= 1e100:
            raise UnsafePlanError(
                "bound out of range",
                value=self.bound,
                bound="finite and above 0 (1e-100..1e100)",
                remedy="set it to the largest absolute value that an update may have",
            )
        if not isinstance(self.on_saturation, str) or self.on_saturation not in list(Saturation):
            raise UnsafePlanError(
                "on_saturation unknown",
                value=repr(self.on_saturation),
                bound=" or ".join(repr(str(choice)) for choice in Saturation),
                remedy="clamp counts what saturates, refuse raises",
            )
        object.__setattr__(self, "bound", float(self.bound))
        object.__setattr__(self, "on_saturation", Saturation(self.on_saturation))

    @property
    def max_value(self) -> int:
        """Q, the largest absolute value of an encoded coordinate."""
        return (1 << (self.value_bits - 1)) - 1

    @property
    def scale(self) -> float:
        """Grid points per unit, Q / bound."""
        return self.max_value / self.bound

    @property
    def step(self) -> float:
        """Distance of two grid points, bound / Q, in the update's own unit."""
        return self.bound / self.max_value

    @property
    def error_bound(self) -> float:
        """A strict bound on |decoded mean - exact weighted mean| of a float coordinate that nowhere saturated.

        The bound is one step, and bound * 2^-50 for float64. Proof: q = floor(y) or floor(y) + 1, the latter only where
        y is no integer, so |q - y| < 1; with weights w_i >= 0, |sum w_i q_i / sum w_i - sum w_i y_i / sum w_i| < 1, one
        step. In float64, y = x * scale has two roundings (scale, product), and total * step / sum w_i four more (total,
        step, product, quotient), each of relative size 2^-53 at most, on values of at most `bound`: together less than
        bound * 2^-50. Integers are carried exactly. A mean that is cast to float16 or float32 is rounded once more.
        """
        return self.step + self.bound * 2.0**-50

    def encode_into(
        self,
        values: npt.NDArray[Any],
        out: npt.NDArray[np.int64],
        *,
        name: str = "",
        random: RandomSource = OS,
    ) -> int:
        """Write the encoded values to `out` and return how many saturated; always |out| <= Q.

        Floats are clamped to the bound, scaled and rounded at random without bias. Integers and bools are carried
        exactly, at scale 1, and saturate beyond Q. After an error `out` holds nothing of use.

        Args:
            values: of any shape, of a dtype that a leaf may have.
            out: int64, flat, of the same size.
            name: the tensor's name, for errors.
            random: randomness of the rounding.

        Raises:
            NonFiniteError: a NaN or an infinity; names the tensor and the first flat index.
            SaturationError: a value beyond the bound, under `on_saturation="refuse"`.
            EncodingError: a dtype that is not encoded.
        """
        if values.dtype.kind not in "fiub" or values.itemsize > 8:
            raise EncodingError(f"tensor {name!r} has dtype {values.dtype}", tensor=name, remedy="give real numbers")
        encode = self._encode_floats if values.dtype.kind == "f" else self._encode_integers
        flat = values.reshape(-1)
        return sum(
            encode(flat[start : start + _BLOCK], out[start : start + _BLOCK], _Origin(name, start), random)
            for start in range(0, flat.size, _BLOCK)
        )

    def decode(self, total: npt.NDArray[np.int64], dtype: str) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
        """Return a decoded sum in the update's own unit: float64 for float leaves, the int64 total for all others.

        Args:
            total: int64, a sum of encoded values, centred.
            dtype: the leaf's dtype, by its native name.
        """
        if np.dtype(dtype).kind != "f":
            return total
        return total * np.float64(self.step)

    def _encode_floats(
        self, block: npt.NDArray[Any], out: npt.NDArray[np.int64], origin: _Origin, random: RandomSource
    ) -> int:
        scaled = block.astype(np.float64)
        finite = np.isfinite(scaled)
        if not finite.all():
            raise origin.non_finite(~finite)
        saturated = self._saturated(np.abs(scaled) > self.bound, origin, self.bound)
        # Twice: before, lest the product overflow; after, since bound * scale may come out one ulp above Q.
        np.clip(scaled, -self.bound, self.bound, out=scaled)
        scaled *= self.scale
        np.clip(scaled, -self.max_value, self.max_value, out=scaled)
        out[...] = stochastic_round(scaled, random)
        return saturated

    def _encode_integers(
        self, block: npt.NDArray[Any], out: npt.NDArray[np.int64], origin: _Origin, _random: RandomSource
    ) -> int:
        if block.dtype.kind == "u":  # a uint64 beyond int64 would turn negative
            block = np.minimum(block, np.iinfo(block.dtype).max >> 1) if block.itemsize == 8 else block
        wide = block.astype(np.int64)
        limit = np.int64(self.max_value)
        saturated = self._saturated((wide > limit) | (wide < -limit), origin, self.max_value)
        np.clip(wide, -limit, limit, out=out)
        return saturated

    def _saturated(self, beyond: npt.NDArray[np.bool_], origin: _Origin, limit: float) -> int:
        count = int(np.count_nonzero(beyond))
        if count and self.on_saturation is Saturation.REFUSE:
            raise origin.saturated(beyond, limit)
        return count


@dataclasses.dataclass(frozen=True, slots=True)
class _Origin:
    """Where a block comes from. Its errors give places and never values: engines may send their text to the server."""

    name: str
    start: int

    def non_finite(self, where: npt.NDArray[np.bool_]) -> NonFiniteError:
        return NonFiniteError(
            f"tensor {self.name!r} has a NaN or an infinity at flat index {self._first(where)}",
            tensor=self.name,
            remedy="look for a diverged training step; nothing was sent",
        )

    def saturated(self, where: npt.NDArray[np.bool_], limit: float) -> SaturationError:
        return SaturationError(
            f"tensor {self.name!r} has a value beyond ±{limit:g} at flat index {self._first(where)}",
            tensor=self.name,
            remedy='raise the bound or value_bits, clip the update, or set on_saturation="clamp"',
        )

    def _first(self, where: npt.NDArray[np.bool_]) -> int:
        return self.start + int(np.argmax(where))

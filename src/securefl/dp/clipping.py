"""L2 clipping whose bound holds in real arithmetic, not only up to rounding.

Proof, u = 2^-53: the squares of 2^12 values, added in any order, are off by a factor of at most 1 + 2^-40 (Higham 2002,
section 3.1). `_SLACK` is twice that, so what it leaves of the norm, 2^-42, covers the five roundings of root, factor and
product, too. Squares that vanish are 1e-311 in all, C^2 at least 1e-200; lest any overflow, large values are scaled first.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import EncodingError, NonFiniteError, UnsafePlanError

MIN_CLIP: Final = 1e-100
MAX_CLIP: Final = 1e100
"""Beyond these a clip, or a sum of clipped values, would meet the ends of float64."""

_BLOCK: Final = 1 << 12
_SLACK: Final = 1 + 2.0**-39


@dataclasses.dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far one party can move a sum of clipped vectors, in the L2 norm.

    Args:
        clip: C, the bound on a party's vector, in the update's own unit.

    Source: privacy.md, Rules (relation).
    """

    clip: float

    @property
    def add_remove(self) -> float:
        """C: a party comes or goes."""
        return self.clip

    @property
    def zero_out(self) -> float:
        """C: a party's vector becomes zero."""
        return self.clip

    @property
    def replace_one(self) -> float:
        """2 C: a party's vector becomes another one."""
        return 2.0 * self.clip


@dataclasses.dataclass(frozen=True, slots=True)
class Clipped:
    """A clipped vector.

    Args:
        vector: float64, flat, new.
        shrunk: whether its norm was above the bound, in any layer; this stays with the party.
    """

    vector: npt.NDArray[np.float64]
    shrunk: bool


@dataclasses.dataclass(frozen=True, slots=True)
class FlatClip:
    """One bound on the L2 norm of the whole vector.

    Args:
        bound: C, 1e-100 to 1e100, in the update's own unit, after the weight.

    Raises:
        UnsafePlanError: a bound out of range.

    Source: Abadi et al. 2016, algorithm 1; McMahan et al. 2018, section 3.
    """

    bound: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", checked_clip(self.bound))

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one party can move the sum."""
        return Sensitivity(self.bound)

    def clip(self, vector: npt.NDArray[Any], *, weight: float = 1.0) -> Clipped:
        """Return w x, shrunk to norm at most C: exactly so in real arithmetic, and less by at most 1e-12 of it.

        Args:
            vector: x, flat, float16 to float64; it is not changed.
            weight: w, finite and not negative; folded in here, before the norm is taken.

        Raises:
            NonFiniteError: w x has a NaN or an infinity; names the flat index.
            EncodingError: another dtype or shape, or another weight.
        """
        own = _weighed(vector, weight)
        _check_finite(own, "")
        return Clipped(own, _shrink(own, self.bound))

    def clip_blocks(self, blocks: Iterable[npt.NDArray[Any]], size: int, *, weight: float = 1.0) -> Clipped:
        """Return the same for a vector that comes in consecutive blocks, such as the tensors of an update.

        Each block is copied before the next is asked for, so the blocks may share one buffer.

        Args:
            blocks: float16 to float64, of any shape; gone through once.
            size: number of values of all blocks together.
            weight: as for `clip`.

        Raises:
            NonFiniteError: as for `clip`; names the block, counted from 0, and the flat index in it.
            EncodingError: as for `clip`, or another number of values.
        """
        own, filled = np.empty(size), 0
        for number, block in enumerate(blocks):
            part = _weighed(block.reshape(-1), weight)
            _check_finite(part, str(number))
            if part.size > size - filled:
                raise EncodingError(f"the blocks have more than {size} values", tensor=str(number))
            own[filled : filled + part.size] = part
            filled += part.size
        if filled != size:
            raise EncodingError(f"the blocks have {filled} values, expected {size}", remedy="give every tensor")
        return Clipped(own, _shrink(own, self.bound))


@dataclasses.dataclass(frozen=True, slots=True)
class LayerClip:
    """A bound on the L2 norm of each layer.

    Args:
        bounds: c_l, one a layer, each 1e-100 to 1e100.

    Raises:
        UnsafePlanError: no bound at all, or one out of range.

    Source: McMahan et al. 2018, section 3 (per-layer clipping).
    """

    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        bounds = _in_order(self.bounds)
        if not bounds:
            raise UnsafePlanError("bounds of no layer", value=0, bound=">= 1", remedy="give one bound a layer")
        object.__setattr__(self, "bounds", tuple(checked_clip(bound) for bound in bounds))
        checked_clip(self.total)

    @property
    def total(self) -> float:
        """sqrt(sum c_l^2), rounded up: the bound on the norm of all layers together."""
        return sqrt_up(sum((Fraction(bound) ** 2 for bound in self.bounds), Fraction(0)))

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one party can move the sum of all layers together."""
        return Sensitivity(self.total)

    def clip(self, vector: npt.NDArray[Any], layers: Sequence[slice], *, weight: float = 1.0) -> Clipped:
        """Return w x with each layer shrunk to its bound, each as exactly as by `FlatClip.clip`.

        Args:
            vector: x, flat, float16 to float64; it is not changed.
            layers: each layer's place; together they are the vector, in its order, without gap or overlap.
            weight: as for `FlatClip.clip`.

        Raises:
            NonFiniteError: w x has a NaN or an infinity; names the layer, counted from 0, and the flat index in it.
            EncodingError: as for `FlatClip.clip`, or layers that are not the vector's.
        """
        own = _weighed(vector, weight)
        _check_layers(layers, len(self.bounds), own.size)
        for number, place in enumerate(layers):
            _check_finite(own[place], str(number))
        shrunk = [_shrink(own[place], bound) for place, bound in zip(layers, self.bounds, strict=True)]
        return Clipped(own, any(shrunk))


def checked_clip(bound: float) -> float:
    """Return the bound as a float.

    Raises:
        UnsafePlanError: it is no number, or outside 1e-100..1e100.
    """
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not MIN_CLIP <= bound <= MAX_CLIP:
        raise UnsafePlanError(
            "clip out of range",
            value=bound if isinstance(bound, float) else repr(bound)[:80],
            bound=f"{MIN_CLIP:g}..{MAX_CLIP:g}",
            remedy="set it near the usual norm of an update, chosen without looking at the data",
        )
    return float(bound)


def _in_order(bounds: object) -> tuple[Any, ...]:
    """Return the layers' bounds one by one, from whatever has them in an order."""
    if isinstance(bounds, Iterable) and not isinstance(bounds, str | bytes | Mapping | AbstractSet):
        try:
            return tuple(bounds)
        except TypeError:  # an array without axes
            pass
    raise UnsafePlanError(
        "the layers' bounds are of another type",
        value=repr(bounds)[:80],
        bound="a tuple of numbers, one a layer",
        remedy="give them in the order of the leaves; FlatClip, or a number, is one bound for all",
    )


def sqrt_up(square: Fraction | int) -> float:
    """Return the least float64 whose square is at least this; the same on every machine.

    Args:
        square: exact, 0 or more, with a root in the range of normal floats.
    """
    root = math.sqrt(square)
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    while root > 0 and Fraction(lower := math.nextafter(root, 0.0)) ** 2 >= square:
        root = lower
    return root


def peak_of(vector: npt.NDArray[np.float64]) -> float:
    """Return the largest absolute value of a float64 vector, 0 of an empty one; NaN if it has one."""
    if not vector.size:
        return 0.0
    largest, least = float(vector.max()), float(vector.min())
    return largest if math.isnan(largest) else max(largest, -least)


def sum_of_squares(vector: npt.NDArray[np.float64], unit: float = 1.0) -> float:
    """Return the squared norm of `unit` times the vector, to within 2^-40 of it, if no square overflows or vanishes.

    Args:
        vector: float64, flat.
        unit: a power of two.
    """
    squares = []
    for start in range(0, vector.size, _BLOCK):
        block = vector[start : start + _BLOCK]
        if unit != 1:
            block = block * unit
        squares.append(float(np.dot(block, block)))
    return math.fsum(squares)


def _weighed(vector: npt.NDArray[Any], weight: float) -> npt.NDArray[np.float64]:
    """Return w x as a new float64 vector; nothing that the caller does afterwards can change what was clipped."""
    if vector.dtype.kind != "f" or vector.itemsize > 8 or vector.ndim != 1:
        raise EncodingError(
            f"a vector to clip has dtype {vector.dtype} and {vector.ndim} axes",
            remedy="give a flat vector of float16, float32 or float64",
        )
    if not 0 <= weight < math.inf:
        raise EncodingError("the weight is negative or not finite", remedy="weigh by a number of 0 or more")
    own = vector.astype(np.float64)
    if weight != 1:
        with np.errstate(over="ignore", invalid="ignore"):  # what this makes non-finite is refused right after
            own *= weight
    return own


def _check_finite(part: npt.NDArray[np.float64], tensor: str) -> None:
    if not math.isfinite(peak_of(part)):
        where = f"tensor {tensor}" if tensor else "the vector"
        raise NonFiniteError(
            f"{where} has a NaN or an infinity at flat index {int(np.argmin(np.isfinite(part)))}, weight included",
            tensor=tensor,
            remedy="look for a diverged training step; nothing was sent",
        )


def _check_layers(layers: Sequence[slice], expected: int, size: int) -> None:
    if len(layers) != expected:
        raise EncodingError(f"{len(layers)} layers, expected {expected}", remedy="give one bound a layer")
    end = 0
    for number, place in enumerate(layers):
        if place.start != end or place.stop < end or place.step not in {None, 1}:
            raise EncodingError(
                f"layer {number} is {place}, expected to start at {end}",
                tensor=str(number),
                remedy="give consecutive slices, as Layout.slices does; what lies between would be unclipped",
            )
        end = place.stop
    if end != size:
        raise EncodingError(f"the layers end at {end}, the vector at {size}", remedy="give a slice for every value")


def _shrink(vector: npt.NDArray[np.float64], bound: float) -> bool:
    """Shrink a finite vector to the bound where it lies, and say whether it was above."""
    unit = 2.0**-600 if peak_of(vector) > 1e100 else 1.0  # a power of two, so that nothing is rounded
    root = math.sqrt(sum_of_squares(vector, unit) * _SLACK)
    if root <= bound * unit:
        return False
    if unit != 1:
        vector *= unit
    vector *= bound / root
    return True

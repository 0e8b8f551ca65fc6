"""A model's weights as layers of units, from names and shapes alone: whichever axis has the outputs, whatever the order."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_LAST = re.compile(r"[^./\[\]()]*[\])]?$")
"""What sets a tensor apart from its siblings: the `weight` of `layer0.weight`."""

_LARGE = 2**22
"""Values from which on a tensor is not copied into float64."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One tensor of weights.

    Args:
        name: of the tensor.
        weight: with two axes or more.
        axes: which of them may be the one of the units: one where the bias or the shape tells, else both ends.
        ends: both ends, whatever tells: names, and tensors beside it, are a server's choice.
        biases: one-dimensional tensors beside it.
    """

    name: str
    weight: npt.NDArray[Any]
    axes: tuple[int, ...]
    ends: tuple[int, ...]
    biases: tuple[npt.NDArray[Any], ...]

    def units(self, axis: int) -> npt.NDArray[Any]:
        """One row a unit, (units, inputs), float64; of large tensors float32, for memory's sake."""
        rows = np.moveaxis(self.weight, axis, 0)
        kind = np.float64 if self.weight.size <= _LARGE or self.weight.dtype == np.float64 else np.float32
        return rows.reshape(len(rows), -1).astype(kind, copy=False)

    def sizes(self, axis: int) -> tuple[int, int]:
        """(units, inputs)."""
        units = self.weight.shape[axis]
        return units, math.prod(self.weight.shape) // max(1, units)

    def bias(self, axis: int) -> npt.NDArray[np.float64]:
        """The units' biases, (units,); zero where there is none."""
        units = self.weight.shape[axis]
        found = [each for each in self.biases if len(each) == units]
        return found[0].astype(np.float64) if found else np.zeros(units)


def layers_of(tensors: Mapping[str, npt.NDArray[Any]]) -> list[Layer]:
    """Every tensor of floats with two axes or more, as a layer; empty ones are left out."""
    found = []
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or not tensor.size:
            continue
        weight = _unstacked(tensor)
        home = _LAST.sub("", name)
        beside = tuple(
            each for other, each in tensors.items() if each.ndim == 1 and each.size and _LAST.sub("", other) == home
        )
        axes = _axes(weight.shape, [len(each) for each in beside])
        found.append(Layer(name, weight, axes, _ends(weight.shape, axes), beside))
    return found


def hidden(layers: Sequence[Layer]) -> list[Layer]:
    """The layers without the head, which is the only one that feeds no other; where that is not one alone, all of them.

    Units of a head may be alike without any harm: it starts at zero in convex models, and classes that nobody has stay equal.
    Names and order decide nothing: a server may choose them.
    """
    last = [layer for layer in layers if not any(_feeds(layer, other) for other in layers if other is not layer)]
    return [layer for layer in layers if layer is not last[0]] if len(last) == 1 else list(layers)


def _feeds(layer: Layer, other: Layer) -> bool:
    """Whether the units of one may be the inputs of another: as many; of a convolution, times its places; or the other has a part."""
    for axis in layer.axes:
        units, _ = layer.sizes(axis)
        for another in other.axes:
            _, inputs = other.sizes(another)
            spread = layer.weight.ndim > 2 or other.weight.ndim > 2
            if inputs == units or (spread and inputs % units == 0) or (inputs > 1 and units % inputs == 0):
                return True
    return False


def _unstacked(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A stack of one matrix as that matrix."""
    while weight.ndim > 2 and len(weight) == 1:
        weight = weight[0]
    return weight


def _axes(shape: tuple[int, ...], beside: Sequence[int]) -> tuple[int, ...]:
    ends = (0, len(shape) - 1)
    told = tuple(axis for axis in ends if shape[axis] in beside)
    return told if len(told) == 1 else _by_shape(shape)


def _ends(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """What is told comes first; then what the shape allows whoever tells."""
    return tuple(dict.fromkeys((*axes, *_by_shape(shape))))


def _by_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    last = len(shape) - 1
    if last > 1 and shape[0] != shape[last]:
        return (0,) if shape[0] > shape[last] else (last,)  # the other end is a side of the kernel
    return (0, last)

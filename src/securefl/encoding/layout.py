"""Layouts: the names, shapes and dtypes that all parties' trees share, and their places in one flat vector."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from securefl.crypto.digest import digest
from securefl.encoding.leaves import DTYPES, as_array, dtype_name
from securefl.encoding.tree import MAX_NAME, build, walk
from securefl.errors import EncodingError, LayoutMismatchError
from securefl.types import Tree

MAX_LEAVES: Final = 1 << 14
"""Most leaves of a layout: whoever is invited reads them all before its policy is asked."""

MAX_STEPS: Final = 1 << 16
"""Most steps of all names together, from the root to each leaf: deep names cost as much as many."""

MAX_NAMES: Final = 2**22
"""Most characters of all names together: what a stranger's layout can cost before it is refused."""

MAX_SIZE: Final = 2**40
"""A layout has fewer values than this."""

MAX_NDIM: Final = 32
"""Most axes of a leaf."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One array of a tree.

    Args:
        name: its path in the tree (see `securefl.encoding.tree`).
        shape: its shape; empty for a number.
        dtype: the native name of its dtype, one of `securefl.encoding.leaves.DTYPES`.

    Raises:
        EncodingError: a field that is malformed or out of bounds; layouts come off the wire, too.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if type(self.name) is not str or len(self.name) > MAX_NAME:
            raise EncodingError(f"leaf name of more than {MAX_NAME} characters, or no text: {str(self.name)[:80]!r}")
        if self.dtype not in DTYPES:
            raise EncodingError(
                f"leaf {self.name!r} has dtype {self.dtype!r}",
                tensor=self.name,
                remedy=f"use one of {', '.join(DTYPES)}",
            )
        if type(self.shape) is not tuple or not all(type(axis) is int and axis >= 0 for axis in self.shape):
            raise EncodingError(
                f"leaf {self.name!r} has shape {self.shape!r}",
                tensor=self.name,
                remedy="a shape is a tuple of non-negative integers",
            )
        # An axis of length 0 counts as 1: numpy refuses the other axes' product, too, when it is beyond its range.
        if len(self.shape) > MAX_NDIM or math.prod(max(axis, 1) for axis in self.shape) >= MAX_SIZE:
            raise EncodingError(
                f"leaf {self.name!r} of shape {self.shape!r} has more than {MAX_NDIM} axes or at least 2^40 values",
                tensor=self.name,
            )

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The leaves of a tree in canonical order: dict keys sorted, lists and tuples as they are.

    Args:
        leaves: the leaves; their names are exactly those of one tree, in its order.

    Raises:
        EncodingError: names that are of no tree or exceed `MAX_NAMES` or `MAX_STEPS`, more than `MAX_LEAVES` leaves, or
            `MAX_SIZE` values or more.
    """

    leaves: tuple[Leaf, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.leaves) <= MAX_LEAVES:
            raise EncodingError(
                f"a layout of {len(self.leaves)} leaves",
                remedy=f"give between 1 and {MAX_LEAVES} arrays",
            )
        if sum(map(len, self._names)) > MAX_NAMES:
            raise EncodingError(f"leaf names of more than {MAX_NAMES} characters in all", remedy="shorten the keys")
        # Each step of a path begins with one of these, and keys write them otherwise: counted before anything is parsed.
        if sum(name.count(sign) for name in self._names for sign in "/[(") > MAX_STEPS:
            raise EncodingError(
                f"leaf names of more than {MAX_STEPS} steps in all", remedy="nest the containers less deeply"
            )
        build(self._names, range(len(self.leaves)))
        if self.size >= MAX_SIZE:
            raise EncodingError(f"a layout of {self.size} values", remedy="stay below 2^40")

    @classmethod
    def of(cls, tree: Tree) -> Self:
        """Return the layout of a tree of arrays and numbers; Python numbers are 0-d float64, int64 or bool.

        Raises:
            EncodingError: an empty tree or container, a key that is no string, or a leaf that is no real number or
                array of them.
        """
        arrays = ((name, as_array(name, value)) for name, value in walk(tree))
        return cls(tuple(Leaf(name, array.shape, array.dtype.name) for name, array in arrays))

    @classmethod
    def from_template(cls, template: Tree) -> Self:
        """Return the layout of a tree whose leaves are `(shape, dtype)` pairs or have `.shape` and `.dtype`.

        Raises:
            EncodingError: as for `of`.
        """
        described = ((name, *_described(name, value)) for name, value in walk(template, _is_pair))
        return cls(tuple(Leaf(name, shape, dtype) for name, shape, dtype in described))

    @cached_property
    def size(self) -> int:
        """Total number of values, the length of the flat vector."""
        return sum(leaf.size for leaf in self.leaves)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(leaf.name for leaf in self.leaves)

    def digest(self) -> bytes:
        """Return 32 bytes that bind all names, shapes and dtypes."""
        fields: list[str | int] = [len(self.leaves)]
        for leaf in self.leaves:
            fields += [leaf.name, leaf.dtype, len(leaf.shape), *leaf.shape]
        return digest("layout", *fields)

    def slices(self) -> list[slice]:
        """Return each leaf's place in the flat vector."""
        ends = accumulate((leaf.size for leaf in self.leaves), initial=0)
        return [slice(start, stop) for start, stop in pairwise(ends)]

    def arrays(self, tree: Tree) -> list[npt.NDArray[Any]]:
        """Return the tree's leaves in layout order, native-endian; views where possible.

        Raises:
            LayoutMismatchError: names the first leaf that is missing, unexpected, or of another shape or dtype.
            EncodingError: a tree that has no layout at all.
        """
        found = {name: as_array(name, value) for name, value in walk(tree)}
        known = set(self._names)
        surplus = [name for name in found if name not in known]
        for leaf in self.leaves:
            if leaf.name not in found:
                also = f"; the tree has {surplus[0]!r}, which is not expected" if surplus else ""
                raise _mismatch(leaf, f"no such leaf{also}", "give every leaf that the plan's layout names")
            array = found[leaf.name]
            if array.shape != leaf.shape:
                raise _mismatch(leaf, f"shape {array.shape}", "train the model that the plan was made for")
            if array.dtype.name != leaf.dtype:
                raise _mismatch(leaf, f"dtype {array.dtype.name}", f"convert it with .astype({leaf.dtype!r})")
        if surplus:
            raise LayoutMismatchError(
                f"leaf {surplus[0]!r}: expected no such leaf, came one of shape {found[surplus[0]].shape}",
                tensor=surplus[0],
                remedy="leave it out, or make a plan whose layout names it",
            )
        return [found[name] for name in self._names]

    def unflatten(self, arrays: Sequence[npt.NDArray[Any]]) -> Tree:
        """Return the tree with these leaves, in plain dicts, lists and tuples.

        Args:
            arrays: one a leaf, in layout order, in the leaf's shape or flat; any dtype, since means are float64.

        Raises:
            LayoutMismatchError: another number of arrays, or an array of another shape.
        """
        if len(arrays) != len(self.leaves):
            raise LayoutMismatchError(f"expected {len(self.leaves)} arrays, came {len(arrays)}")
        for leaf, array in zip(self.leaves, arrays, strict=True):
            if array.shape not in (leaf.shape, (leaf.size,)):
                raise _mismatch(leaf, f"shape {array.shape}", "give it in the leaf's shape, or flat")
        shaped = (array.reshape(leaf.shape) for leaf, array in zip(self.leaves, arrays, strict=True))
        return build(self._names, shaped)


def tree_digest(layout: Layout, tree: Tree) -> bytes:
    """Return the model digest, 32 bytes: it binds names, shapes, dtypes and every value's bytes.

    Values count as their little-endian bytes in C order, on machines of either endianness. Each leaf is digested by
    itself, and the leaves' digests together, so that no more than one leaf is copied at a time.

    Raises:
        LayoutMismatchError: a tree of another layout.

    Source: protocol.md, Messages, R2 (the model digest).
    """
    leaves = [
        digest("tensor", array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        for array in layout.arrays(tree)
    ]
    return digest("model", layout.digest(), *leaves)


def _is_pair(node: Any) -> bool:
    """Whether this is a `(shape, dtype)` pair: a container that held bare integers would be no template anyway."""
    return (
        isinstance(node, tuple)
        and len(node) == 2
        and isinstance(node[0], tuple | list)
        and all(isinstance(axis, int | np.integer) for axis in node[0])
    )


def _described(name: str, value: Any) -> tuple[tuple[int, ...], str]:
    if _is_pair(value):
        shape, dtype = value
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        shape, dtype = value.shape, value.dtype
    else:
        raise EncodingError(
            f"template leaf {name!r} is of type {type(value).__name__}",
            tensor=name,
            remedy='describe it as ((3, 4), "float32"), or by anything with .shape and .dtype',
        )
    return tuple(int(axis) for axis in shape), dtype_name(name, dtype)


def _mismatch(leaf: Leaf, came: str, remedy: str) -> LayoutMismatchError:
    return LayoutMismatchError(
        f"leaf {leaf.name!r}: expected {leaf.dtype} of shape {leaf.shape}, came {came}",
        tensor=leaf.name,
        remedy=remedy,
    )

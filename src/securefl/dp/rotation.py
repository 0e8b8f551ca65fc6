"""The randomised Hadamard rotation, which spreads a vector evenly over its coordinates so that few bits hold each.

H of 2^j points is a Kronecker power, so it can be done four index bits at a time, as a product with the 16 x 16 matrix. A
tile of 2^14 values, which stays in a core's own cache, gets its 14 low bits done at one visit; what is above them is done
panel by panel. Signs and the matrix are the same on every machine; sums of 16 terms may be added in another order there,
so results agree to rounding and not to the bit. Nobody needs that: each party rounds at random afterwards.

Source: Kairouz, Liu, Steinke 2021, algorithm 1; Ailon, Chazelle 2006.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.prg import KEY_BYTES, keystream
from securefl.errors import EncodingError

MAX_DIMENSION: Final = 2**40
"""Vectors are shorter than this, as layouts are."""

_TILE_BITS: Final = 14
_TILE: Final = 1 << _TILE_BITS
"""Values of a tile, 128 KiB. Products of a tile with 16 x 16 are also below the size from which OpenBLAS starts threads."""

_POINTS: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Rotation:
    """y = H D x / sqrt(d): random signs D, then the Walsh-Hadamard matrix H.

    Args:
        seed: 32 bytes, public and the same for all parties of a round; used for this alone, and independent of the vectors.
        size: number of values of x.

    Raises:
        EncodingError: a seed or a size out of bounds.

    Source: Kairouz, Liu, Steinke 2021, algorithm 1.
    """

    seed: bytes
    size: int

    def __post_init__(self) -> None:
        if type(self.seed) is not bytes or len(self.seed) != KEY_BYTES:
            raise EncodingError(f"the seed of a rotation is not {KEY_BYTES} bytes", remedy="derive one for the round")
        if not 1 <= self.size < MAX_DIMENSION:
            raise EncodingError(f"a rotation of {self.size} values", remedy="give between 1 and 2^40 - 1 values")

    @property
    def dimension(self) -> int:
        """d: the size, padded to a power of two."""
        return padded(self.size)

    def apply(self, vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the rotated vector, of length d and of the same norm to within 1e-12 of it.

        Args:
            vector: float64, shape (size,), of norm at most 1e100; it is not changed.

        Raises:
            EncodingError: another shape or dtype.
        """
        _check(vector, self.size)
        rotated = np.zeros(self.dimension)
        rotated[: self.size] = vector
        self._flip(rotated)
        walsh_hadamard(rotated)
        rotated *= 1 / math.sqrt(self.dimension)
        return rotated

    def invert(self, rotated: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the vector that was rotated, to rounding; linear, so it holds for sums of vectors, too.

        Args:
            rotated: float64, shape (d,); it is not changed.

        Returns:
            Shape (size,), new.

        Raises:
            EncodingError: another shape or dtype.
        """
        _check(rotated, self.dimension)
        vector = rotated.copy()
        walsh_hadamard(vector)
        vector *= 1 / math.sqrt(self.dimension)
        vector = vector[: self.size].copy() if self.size < self.dimension else vector
        self._flip(vector)
        return vector

    def _flip(self, vector: npt.NDArray[np.float64]) -> None:
        """Change the signs that D changes, where they lie: bit i of the keystream, from the lowest of each byte, is x_i's."""
        words = keystream(self.seed, -(-vector.size // 32), bits=32)
        octets = words.astype("<u4", copy=False).view(np.uint8)
        patterns = vector.view(np.uint64)
        for start in range(0, vector.size, _TILE):
            part = patterns[start : start + _TILE]
            chosen = octets[start // 8 : (start + _TILE) // 8]
            signs = np.unpackbits(chosen, count=part.size, bitorder="little").astype(np.uint64)
            signs <<= np.uint64(63)
            part ^= signs


def padded(size: int) -> int:
    """Return the least power of two that is at least the size."""
    return 1 << (size - 1).bit_length()


def walsh_hadamard(vector: npt.NDArray[np.float64]) -> None:
    """Replace x by H x, where H_ij = (-1)^(number of ones in i & j), without any scaling.

    Memory beyond the vector: two tiles of 128 KiB at most.

    Args:
        vector: float64, contiguous, of a length that is a power of two.

    Raises:
        EncodingError: another length, dtype or memory order.
    """
    size = vector.size
    if vector.dtype != np.float64 or vector.ndim != 1 or not vector.flags.c_contiguous or size.bit_count() != 1:
        raise EncodingError(
            f"a transform of {vector.dtype}, shape {vector.shape}",
            remedy="give a contiguous float64 vector whose length is a power of two",
        )
    length = min(size, _TILE)
    one, other = np.empty(length), np.empty(length)
    for start in range(0, size, length):
        _low_bits(vector[start : start + length], one, other)
    done = length
    while done < size:
        points = min(_POINTS, size // done)
        _high_bits(vector.reshape(-1, points, done), one)
        done *= points


def _low_bits(tile: npt.NDArray[np.float64], one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> None:
    """Transform a tile by all its bits.

    Each product does the lowest bits and, being written transposed, makes them the highest: after all bits have had their
    turn, each is where it was.
    """
    bits = tile.size.bit_length() - 1
    source = tile
    while bits:
        points = 1 << min(bits, _POINTS.bit_length() - 1)
        np.matmul(_matrix(points), source.reshape(-1, points).T, out=one.reshape(points, -1))
        source, one, other = one, other, one
        bits -= points.bit_length() - 1
    np.copyto(tile, source)


def _high_bits(groups: npt.NDArray[np.float64], scratch: npt.NDArray[np.float64]) -> None:
    """Transform along the middle axis, shape (groups, points, run), a panel of a tile's size at a time."""
    _, points, run = groups.shape
    width = scratch.size // points
    product = scratch.reshape(points, width)
    for group in groups:
        for start in range(0, run, width):
            panel = group[:, start : start + width]
            np.matmul(_matrix(points), panel, out=product)
            np.copyto(panel, product)


@functools.cache
def _matrix(points: int) -> npt.NDArray[np.float64]:
    """The Walsh-Hadamard matrix of 1, 2, 4, 8 or 16 points."""
    matrix = np.ones((1, 1))
    while len(matrix) < points:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix.setflags(write=False)
    return matrix


def _check(vector: npt.NDArray[np.float64], size: int) -> None:
    if vector.dtype != np.float64 or vector.shape != (size,):
        raise EncodingError(
            f"a vector of {vector.dtype}, shape {vector.shape}, expected float64 of shape ({size},)",
            remedy="clip first: clipping gives a flat float64 vector",
        )

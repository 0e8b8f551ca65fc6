"""The ring Z_{2^b} in which vectors are masked and added, and the least b in which a sum cannot wrap."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.errors import UnsafePlanError
from securefl.types import Words

MIN_BITS: Final = 8
MAX_BITS: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Ring:
    """Integers modulo 2^bits.

    Args:
        bits: b, 8 to 64.

    Raises:
        UnsafePlanError: b outside that range.

    Source: protocol.md, Ring and encoding.
    """

    bits: int

    def __post_init__(self) -> None:
        if type(self.bits) is not int or not MIN_BITS <= self.bits <= MAX_BITS:
            raise UnsafePlanError(
                "ring bits out of range",
                value=self.bits,
                bound=f"{MIN_BITS}..{MAX_BITS}",
                remedy="let required_bits choose them",
            )

    @property
    def modulus(self) -> int:
        """2^b."""
        return 1 << self.bits

    @property
    def mask(self) -> int:
        """2^b - 1, the largest word."""
        return self.modulus - 1

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The words' dtype: uint32 for b <= 32, else uint64."""
        return np.dtype(np.uint32) if self.bits <= 32 else np.dtype(np.uint64)

    @property
    def word_bytes(self) -> int:
        """Bytes of a word on the wire, ceil(b / 8)."""
        return -(-self.bits // 8)

    def zeros(self, count: int) -> Words:
        """Return `count` zero words."""
        return np.zeros(count, dtype=self.dtype)

    def reduce(self, values: npt.NDArray[np.int64]) -> Words:
        """Return int64 values modulo 2^b, in a new array of the same shape."""
        out: Words = np.empty(values.shape, dtype=self.dtype)
        self.reduce_into(values, out)
        return out

    def reduce_into(self, values: npt.NDArray[np.int64], out: Words) -> None:
        """Write int64 values modulo 2^b to `out`, of the same shape and of the ring's dtype."""
        # In two's complement the residue modulo a power of two is the low bits, of negative numbers, too.
        np.bitwise_and(values.view(np.uint64), np.uint64(self.mask), out=out, casting="unsafe")

    def centre(self, words: Words) -> npt.NDArray[np.int64]:
        """Return the representatives in [-2^(b-1), 2^(b-1)) as int64, in a new array of the same shape."""
        shift = MAX_BITS - self.bits
        wide = words.astype(np.uint64)
        wide <<= np.uint64(shift)
        centred = wide.view(np.int64)
        centred >>= np.int64(shift)  # arithmetic: spreads the sign bit
        return centred

    def add_into(self, acc: Words, words: Words) -> None:
        """Add `words` to `acc` in place, modulo 2^b; both of the ring's dtype and of one shape."""
        np.add(acc, words, out=acc)
        if self.bits not in (32, 64):
            np.bitwise_and(acc, self.dtype.type(self.mask), out=acc)


def required_bits(parties: int, max_weight: int, max_value: int) -> int:
    """Return the least b >= 8 with 2^b >= 2 n w Q + 1, so that no sum of n weighted values wraps.

    Args:
        parties: n, at most so many vectors are added.
        max_weight: w, the largest weight; 1 without weights.
        max_value: Q, the largest absolute value of an encoded coordinate.

    Raises:
        UnsafePlanError: an argument below 1, or more than 64 bits.

    Source: protocol.md, Ring and encoding: b >= ceil(log2(2 n_max w_max Q + 1)).
    """
    for name, value in (("parties", parties), ("max_weight", max_weight), ("max_value", max_value)):
        if value < 1:
            raise UnsafePlanError(f"{name} out of range", value=value, bound=">= 1", remedy=f"set {name} to 1 or more")
    # ceil(log2(m + 1)) is the bit length of m, without any float.
    bits = (2 * parties * max_weight * max_value).bit_length()
    if bits > MAX_BITS:
        raise UnsafePlanError(
            f"a sum of {parties} values up to {max_weight} x {max_value} may overflow: ring bits",
            value=bits,
            bound=f"<= {MAX_BITS}",
            remedy="lower value_bits or the largest weight, or split the parties into cohorts",
        )
    return max(bits, MIN_BITS)

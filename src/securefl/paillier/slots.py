"""How signed integers lie side by side in one plaintext so that sums of plaintexts are sums of them all."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.crypto.digest import digest
from securefl.encoding.ring import Ring
from securefl.errors import CryptoError, EncodingError, UnsafePlanError
from securefl.paillier import packing

_MAX_SUM_BITS: Final = 63
"""A sum with its offset is an int64 that is not negative."""


@dataclasses.dataclass(frozen=True, slots=True)
class SlotLayout:
    """Slots of a fixed width in plaintexts of a fixed size.

    A slot holds v + B, where B is the largest |v| that one vector may bring: so it is never negative and nothing is borrowed
    from the next slot. The sum of at most n vectors is at most 2 n B, which has `slot_bits` bits: so nothing is carried over
    either. The sum of s vectors has the offset s B, which unpacking takes off.

    Args:
        key_bits: of the modulus; a plaintext uses key_bits - 2 of them, so that sums stay below (n - 1) / 2.
        parties: n, at most so many vectors are added, each counted as often as it is added.
        max_value: Q, the largest absolute value of an encoded coordinate.
        max_weight: w, the largest weight by which a coordinate is multiplied before it is packed.
        noise_bits: every vector may reach 2^noise_bits w Q, to make room for noise; see `for_noise`.

    Raises:
        UnsafePlanError: an argument out of range, sums beyond 63 bits, or a slot that no plaintext holds.

    Source: paillier.md, Packing: slot = ceil(log2(2 n w Q + 1)) + noise bits.
    """

    key_bits: int
    parties: int
    max_value: int
    max_weight: int = 1
    noise_bits: int = 0

    def __post_init__(self) -> None:
        for name, least in (("key_bits", 16), ("parties", 1), ("max_value", 1), ("max_weight", 1), ("noise_bits", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise UnsafePlanError(
                    f"{name} out of range", value=value, bound=f"an integer >= {least}", remedy=f"set {name} higher"
                )
        if self.noise_bits >= _MAX_SUM_BITS or self._sum_bits > _MAX_SUM_BITS:
            raise UnsafePlanError(
                f"a sum of {self.parties} values up to {self.max_weight} x {self.max_value}, with {self.noise_bits} bits for "
                f"noise, is too wide: bits",
                value=max(self.noise_bits, self._sum_bits),
                bound=f"<= {_MAX_SUM_BITS}",
                remedy="lower value_bits or the largest weight, or split the parties into cohorts",
            )
        if not self.slots:
            raise UnsafePlanError(
                "a slot is wider than a plaintext: bits",
                value=self.slot_bits,
                bound=f"<= {self.key_bits - 2}",
                remedy="use a longer key",
            )

    @classmethod
    def for_words(cls, key_bits: int, parties: int, ring: Ring) -> SlotLayout:
        """Return the layout for any words of a ring, centred: -2^(b-1)..2^(b-1) - 1; reduce the sum in the ring afterwards.

        Whoever decrypts learns the integer sum of the words, which says more than the sum in the ring: how often it
        wrapped. Where noise is to hide it, pack the noised integers before they are reduced, in a layout with noise bits.
        """
        return cls(key_bits, parties, ring.modulus >> 1)

    @classmethod
    def for_noise(
        cls, key_bits: int, parties: int, max_value: int, *, max_noise: int, max_weight: int = 1
    ) -> SlotLayout:
        """Return the layout with the fewest noise bits in which a weighted value and noise of `max_noise` fit together."""
        widest = max_weight * max_value
        extra = 0
        while widest << extra < widest + max_noise:
            extra += 1
        return cls(key_bits, parties, max_value, max_weight, extra)

    @property
    def bound(self) -> int:
        """B, the largest absolute value of a coordinate that one vector brings."""
        return self.max_weight * self.max_value << self.noise_bits

    @property
    def slot_bits(self) -> int:
        """Bits of a slot: ceil(log2(2 n w Q + 1)) + noise bits, but at least 8; and 64 where that is 58 or more."""
        if self._sum_bits > packing.MAX_ODD_BITS:
            return packing.WORD_BITS
        return max(self._sum_bits, packing.MIN_BITS)

    @property
    def slots(self) -> int:
        """Slots of a plaintext."""
        return (self.key_bits - 2) // self.slot_bits

    def plaintexts(self, count: int) -> int:
        """Return how many plaintexts hold `count` values."""
        return -(-count // self.slots)

    def digest(self) -> bytes:
        """Return 32 bytes that name the layout."""
        return digest("paillier-slots", *dataclasses.astuple(self))

    def pack(self, values: npt.NDArray[Any]) -> list[int]:
        """Return the plaintexts of a vector, in 0..2^(key_bits - 2) - 1.

        Args:
            values: integers of any dtype, shape (d,), |v| <= B.

        Raises:
            EncodingError: another dtype or shape, or a value beyond B, by its index.
        """
        array = np.asarray(values)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise EncodingError(
                f"an array of dtype {array.dtype} and shape {array.shape} to pack",
                remedy="give one axis of numpy integers: encode floats first",
            )
        if array.size:
            self._check_bound(array)
        # Within ±B every integer is an int64, and v + B is at most 2 B < 2^63.
        return packing.pack(array.astype(np.int64, copy=False), self.bound, self.slot_bits, self.slots)

    def unpack(self, plaintexts: list[int], count: int, *, vectors: int) -> npt.NDArray[np.int64]:
        """Return the sum of the vectors whose plaintexts were added up.

        Args:
            plaintexts: the decrypted sums.
            count: d, the length of the vectors.
            vectors: how many vectors were added: the survivors.

        Returns:
            int64, shape (count,).

        Raises:
            CryptoError: plaintexts that no sum of so many vectors of this layout can be: somebody cheated, a key or a layout
                is another one's, or the number of vectors is wrong.
            EncodingError: more vectors than the layout is for, or fewer than one.
        """
        if not 1 <= vectors <= self.parties:
            raise EncodingError(
                f"a sum of {vectors} vectors, in a layout for 1..{self.parties}", remedy="count the survivors"
            )
        if len(plaintexts) != self.plaintexts(count):
            raise CryptoError(f"{count} values lie in {self.plaintexts(count)} plaintexts, came {len(plaintexts)}")
        if any(not 0 <= m < 1 << self.slots * self.slot_bits for m in plaintexts):
            raise self._no_sum(vectors)
        slots = packing.unpack(plaintexts, self.slot_bits, self.slots)
        total, unused = slots[:count], slots[count:]
        if unused.any() or (count and total.max() > 2 * vectors * self.bound):
            raise self._no_sum(vectors)
        signed = total.view(np.int64)
        signed -= vectors * self.bound
        return signed

    @property
    def _sum_bits(self) -> int:
        # ceil(log2(m + 1)) is the bit length of m, without any float.
        return (2 * self.parties * self.max_weight * self.max_value).bit_length() + self.noise_bits

    def _check_bound(self, array: npt.NDArray[Any]) -> None:
        # As Python integers: |-2^63| and the comparison of uint64 with int64 are traps in numpy.
        if max(int(array.max()), -int(array.min())) > self.bound:
            index = next(i for i, v in enumerate(array.tolist()) if abs(v) > self.bound)
            raise EncodingError(
                f"value {index} is beyond ±{self.bound}, which {self.parties} vectors may reach without overflow",
                remedy="clip it; nothing was encrypted",
            )

    @staticmethod
    def _no_sum(vectors: int) -> CryptoError:
        return CryptoError(
            f"what was decrypted is no sum of {vectors} vectors of this layout",
            remedy="compare key, layout and the list of survivors; or one of the parties cheated",
        )

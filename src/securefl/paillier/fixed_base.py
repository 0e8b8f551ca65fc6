"""Powers of one base, from a table: as many multiplications as the exponent has digits, and no squarings."""

from __future__ import annotations

from securefl.crypto.secret import Redacted
from securefl.paillier.arithmetic import integer

MIN_WINDOW, MAX_WINDOW = 1, 12


class FixedBase(Redacted):
    """The table of base^(d 2^(w i)) for every digit d of w bits and every place i.

    It has ceil(bits / w) 2^w entries: 38 MB for 1536 bits, w = 8 and a modulus of 6144. Which entries are read depends on the
    exponent, so whoever shares the processor's caches with this process may learn about it: this is not constant-time.

    Args:
        base: what is raised.
        modulus: of base and powers.
        bits: of the largest exponent.
        window: w, 1 to 12 bits a digit.

    Raises:
        ValueError: a window out of range.

    Source: Brickell, Gordon, McCurley, Wilson, Fast exponentiation with precomputation (1992).
    """

    __slots__ = ("_modulus", "_table", "_window")

    def __init__(self, base: int, modulus: int, *, bits: int, window: int) -> None:
        if not MIN_WINDOW <= window <= MAX_WINDOW:
            raise ValueError(f"the window has {window} bits, needs {MIN_WINDOW}..{MAX_WINDOW}")
        self._modulus = integer(modulus)
        self._window = window
        self._table: list[list[int]] = []
        step = integer(base) % self._modulus
        for _ in range(-(-bits // window)):
            row = [integer(1)]
            for _ in range((1 << window) - 1):
                row.append(row[-1] * step % self._modulus)
            self._table.append(row)
            step = row[-1] * step % self._modulus

    def power(self, exponent: int) -> int:
        """Return base^exponent; the exponent has at most the table's bits and is not negative."""
        modulus, window = self._modulus, self._window
        digit = (1 << window) - 1
        result = self._table[0][exponent & digit]
        for row in self._table[1:]:
            exponent >>= window
            result = result * row[exponent & digit] % modulus
        return result

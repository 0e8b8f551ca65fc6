"""Decisions from bytes: whoever gives the bytes (hypothesis, a fuzzer, a seed) decides, and fewer or smaller bytes decide simpler."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """A stream of decisions; where the bytes end, every further one is the first of its kind.

    Args:
        recipe: the bytes.
    """

    def __init__(self, recipe: bytes) -> None:
        self._recipe = recipe
        self._place = 0

    @classmethod
    def seeded(cls, seed: int, size: int = 96) -> Choices:
        """The decisions of a seed."""
        return cls(random.Random(seed).randbytes(size))

    def below(self, bound: int) -> int:
        """A number in 0..bound-1."""
        if bound <= 1:
            return 0
        size = 1 if bound <= 1 << 8 else 2 if bound <= 1 << 16 else 4
        drawn = int.from_bytes(self._recipe[self._place : self._place + size], "big")
        self._place += size
        return drawn % bound

    def one_of(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True in so many cases of a hundred; false where the bytes end."""
        return self.below(100) >= 100 - percent

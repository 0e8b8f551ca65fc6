"""Noise and samples for DP-SGD, from the operating system's generator.

torch's own CPU generator keeps 32 bits of its seed, a script's `torch.manual_seed(0)` makes the noise known to its
readers, and its float32 normals end at 5.77 standard deviations. Opacus draws from it unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from securefl.crypto.random import OS, RandomSource, uniform_uint64

_UNIT: Final = 2.0**-53


def gaussian(count: int, random: RandomSource = OS) -> npt.NDArray[np.float64]:
    """Return `count` standard normals, float64, (count,): floating-point ones, cut off at 8.57.

    Source: Box, Muller 1958.
    """
    half = (count + 1) // 2
    uniform = ((uniform_uint64(2 * half, random) >> np.uint64(11)) + np.uint64(1)) * _UNIT  # in (0, 1], 53 bits
    radius, angle = np.sqrt(-2.0 * np.log(uniform[:half])), 2.0 * math.pi * uniform[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


class PoissonBatches(Sampler[list[int]]):
    """Batches of which each example is a member with probability q, independently; some may be empty.

    Args:
        examples: how many there are.
        sample_rate: q, in (0, 1]; rounded down to a multiple of 2^-64.
        steps: number of batches.
        random: where the draws come from.
    """

    def __init__(self, examples: int, sample_rate: float, steps: int, random: RandomSource = OS) -> None:
        self._examples = examples
        self._below = math.floor(math.ldexp(sample_rate, 64))
        self._steps = steps
        self._random = random

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._steps):
            drawn = uniform_uint64(self._examples, self._random)
            # In the last case every example is a member, and the bound is beyond 64 bits.
            member = drawn < np.uint64(self._below) if self._below < 1 << 64 else np.ones(self._examples, dtype=bool)
            yield np.flatnonzero(member).tolist()

"""Reproducible randomness for everything that is no secret: splits, partitions, batches, dropouts.

Each use derives its own generator from (seed, use, indices) and none is kept, so a plain and a secure run see the same
batches, and a round that failed leaves no generator advanced. Secrets never come from here; they come from
`securefl.crypto.random`.
"""

from __future__ import annotations

import enum

import numpy as np

from securefl.errors import ConfigError


class Use(enum.IntEnum):
    """What the numbers are for; one seed gives each use an independent stream."""

    SPLIT = 0
    PARTITION = 1
    TRAINING = 2
    DROPOUT = 3
    SAMPLING = 10
    FEATURE_SHIFT = 11
    STRAGGLERS = 12
    SYNTHETIC = 13
    INITIAL = 14
    ATTACK = 20


def checked(seed: int) -> int:
    """Return the seed.

    Raises:
        ConfigError: it is negative.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed: got {seed}, needs an integer >= 0", remedy="choose a seed that is not negative")
    return seed


def generator(seed: int, use: Use, *indices: int) -> np.random.Generator:
    """Return the generator of one use of a seed.

    Args:
        seed: the experiment's seed, 0 or more.
        use: what the numbers are for.
        indices: what else sets this stream apart, such as (round, party index).

    Raises:
        ConfigError: the seed is negative.
    """
    # Indices go into the spawn key: entropy is padded with zeros, so that [1, 2] and [1, 2, 0] would be one stream.
    return np.random.default_rng(np.random.SeedSequence(checked(seed), spawn_key=(int(use), *indices)))

"""Rotations of features, for `feature_skew`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from securefl.errors import ConfigError

Features = npt.NDArray[np.floating[Any]]


def rotated_vectors(x: Features, angle: float, rng: np.random.Generator) -> Features:
    """Rotate vectors by one angle in each of floor(d/2) random planes, each spanned by two features.

    Args:
        x: vectors, (n, d), d >= 2; lengths are kept.
        angle: in radians.
        rng: pairs the features.

    Raises:
        ConfigError: there are fewer than 2 features.
    """
    if x.shape[1] < 2:
        raise ConfigError(
            f"features x: got {x.shape[1]} a vector, needs at least 2 to rotate", remedy="use kind='scale'"
        )
    pairs = rng.permutation(x.shape[1])[: x.shape[1] // 2 * 2].reshape(-1, 2)
    first, second = x[:, pairs[:, 0]], x[:, pairs[:, 1]]
    rotated = x.astype(np.float64)
    rotated[:, pairs[:, 0]] = math.cos(angle) * first - math.sin(angle) * second
    rotated[:, pairs[:, 1]] = math.sin(angle) * first + math.cos(angle) * second
    return rotated


def rotated_images(x: Features, angle: float) -> Features:
    """Rotate images about their centres, bilinear between pixels, 0 outside.

    Args:
        x: images, (n, height, width) or (n, height, width, channels).
        angle: in radians, counter-clockwise as one sees them, row 0 on top.
    """
    height, width = x.shape[1:3]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    down, right = rows - (height - 1) / 2, columns - (width - 1) / 2
    # Where each pixel of the result comes from: the rotation undone.
    sources = (
        math.cos(angle) * down + math.sin(angle) * right + (height - 1) / 2,
        math.cos(angle) * right - math.sin(angle) * down + (width - 1) / 2,
    )
    top, left = (np.floor(source).astype(np.intp) for source in sources)
    below, beside = sources[0] - top, sources[1] - left
    rotated = np.zeros(x.shape)
    for row, row_share in ((top, 1 - below), (top + 1, below)):
        for column, column_share in ((left, 1 - beside), (left + 1, beside)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            share = np.where(inside, row_share * column_share, 0.0)
            pixels = x[:, row.clip(0, height - 1), column.clip(0, width - 1)]
            rotated += pixels * (share if x.ndim == 3 else share[..., None])
    return rotated

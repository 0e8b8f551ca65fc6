"""Units of a layer that point the same way."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS

FEWEST_UNITS: Final = 3
"""Smaller layers are outputs, or gates: too small to sort anything into."""

FEWEST_INPUTS: Final = 4
"""Below that, units are alike by chance."""

FEWEST_FOR_NEAR: Final = 8
"""Below that, they are nearly alike by chance."""

ENOUGH_FOR_NEAR: Final = 32
"""From here on two honest units are far apart, and what is agreed on as nearly alike is; below, a fifth as far from 1."""

ALIKE_PAIRS: Final = 2
"""So many units may be nearly alike in an honest layer: among small filters one pair comes out so at times."""

_EQUAL: Final = 1 - 1e-6
"""Cosine from which units are equal: what float32 leaves of a factor."""

_FEWEST_FOR_COMMON: Final = 16
_FEWEST_IN_COMMON: Final = 8
_ITERATIONS: Final = 25
_BLOCK: Final = 1024
_SKETCH: Final = 64
_SLACK: Final = 0.25
_NEAREST: Final = 8
_SAMPLED: Final = 1024

Rows: TypeAlias = npt.NDArray[Any]


def alike(rows: Rows, alignment: float) -> tuple[int, int]:
    """How many units have another that is equal up to a factor of either sign, and one that is nearly so.

    Units without weights point nowhere and are left out; so are layers of fewer than 3 units.

    Args:
        rows: the units' weights, (units, inputs), float32 or float64, finite.
        alignment: cosine from which two count as nearly alike.

    Time is quadratic in the units. Where they have many inputs most pairs are told apart by a sketch, random and drawn anew, so that
    nobody can make units that only look apart in it.
    """
    units, inputs = rows.shape
    if units < FEWEST_UNITS or inputs < FEWEST_INPUTS:
        return 0, 0
    directions = _directions(rows)
    near_from = _near_from(inputs, alignment)
    least = min(near_from, _EQUAL)
    sketch = _sketched(directions) if inputs > 8 * _SKETCH and units > _BLOCK else None
    best = np.zeros(len(directions))
    for start in range(0, len(directions), _BLOCK):
        block = slice(start, start + _BLOCK)
        if sketch is None:
            cosines = np.abs(directions[block] @ directions.T)
            np.fill_diagonal(cosines[:, start:], 0.0)
            best[block] = cosines.max(axis=1)
            continue
        seen = np.abs(sketch[block] @ sketch.T)
        np.fill_diagonal(seen[:, start:], 0.0)
        for row in np.flatnonzero(seen.max(axis=1) >= least - _SLACK):
            # The nearest in the sketch only: of a layer that is all alike, comparing every pair would take hours.
            others = np.argpartition(seen[row], -_NEAREST)[-_NEAREST:]
            pair = directions[[start + row, *others]].astype(np.float64)
            pair /= np.linalg.norm(pair, axis=1, keepdims=True)
            cosines = np.abs(pair[1:] @ pair[0])
            cosines[others == start + row] = 0.0
            best[start + row] = cosines.max()
    return int((best >= _EQUAL).sum()), int((best >= near_from).sum())


def allowed_alike(units: int, inputs: int, alignment: float) -> int:
    """How many units of an honest layer may be nearly alike: a pair, and in wide layers of few inputs what chance makes of them.

    Two random directions have such a cosine with a probability of at most sin(angle)^(inputs - 1); four times as many units as pairs
    of this kind are to be expected, for initial weights lie in a cube, not on a sphere.
    """
    if not FEWEST_FOR_NEAR <= inputs < ENOUGH_FOR_NEAR:
        return ALIKE_PAIRS
    sine = math.sqrt(max(0.0, 1 - _near_from(inputs, alignment) ** 2))
    return ALIKE_PAIRS + int(4 * math.comb(units, 2) * sine ** (inputs - 1))


def common_share(rows: Rows) -> float:
    """The share that one direction, the best there is, has of all units' directions: 1 / inputs at least, 1 where all are equal.

    It is the largest eigenvalue of the directions' second moment, by power iteration: found where it is large, which is what counts.
    0 for layers of fewer than 16 inputs or 8 units with weights, where it is large by chance. Of more than 1024 units it is that of
    1024, drawn anew.

    Args:
        rows: the units' weights, (units, inputs), float32 or float64, finite.
    """
    if len(rows) > _SAMPLED:
        rows = rows[_random().choice(len(rows), _SAMPLED, replace=False)]
    directions = _directions(rows)
    if rows.shape[1] < _FEWEST_FOR_COMMON or len(directions) < _FEWEST_IN_COMMON:
        return 0.0
    axis: Rows = _random().standard_normal((rows.shape[1],))
    share = 0.0
    for _ in range(_ITERATIONS):
        along: Rows = directions @ (axis / float(np.linalg.norm(axis)))
        share = float(np.square(along).mean())
        axis = along @ directions
    return share


def _near_from(inputs: int, alignment: float) -> float:
    """The cosine from which two units of so many inputs are nearly alike."""
    if inputs < FEWEST_FOR_NEAR:
        return _EQUAL
    return alignment if inputs >= ENOUGH_FOR_NEAR else 1 - (1 - alignment) / 5


def _directions(rows: Rows) -> Rows:
    largest = np.abs(rows).max(axis=1)
    rows = rows[largest > 0] / largest[largest > 0, None]
    directions: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return directions


def _sketched(directions: Rows) -> Rows:
    """Directions in a random subspace, again of length 1: cosines near 1 stay near 1."""
    seen: Rows = directions @ _random().standard_normal((directions.shape[1], _SKETCH)).astype(directions.dtype)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    return seen


def _random() -> np.random.Generator:
    """What whoever made the model could not foresee."""
    return np.random.default_rng(np.frombuffer(OS.token(32), np.uint32).tolist())

"""From counted errors of a distinguisher to a lower bound on mu, as sure as is asked for."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from securefl.dp.accounting._extra import load
from securefl.errors import ConfigError

Scores = npt.NDArray[np.float64]

_CANDIDATES: Final = 257
"""Thresholds that are tried on the pilot."""

_SURE: Final = 1 - 1e-6
"""How sure the pilot is of a rate: so much that chance, which rules the tails, recommends no threshold there."""


def clopper_pearson(count: int, trials: int, confidence: float) -> float:
    """Return an upper bound on the probability of an event that came `count` times in as many trials.

    It is below the truth with probability at most 1 - confidence, whatever the truth is.

    Args:
        count: 0 to trials.
        trials: independent, at least 1.
        confidence: one-sided, in (0, 1).

    Raises:
        ConfigError: an argument out of range, or the `dp` extra is not installed.

    Source: Clopper, Pearson 1934.
    """
    if trials < 1 or not 0 <= count <= trials:
        raise ConfigError(f"{count} of {trials} trials", remedy="count 0 to all of at least one")
    checked_confidence(confidence)
    return float(_upper(np.array([count]), trials, confidence)[0])


def mu_bound(false_positives: int, without: int, false_negatives: int, present: int, *, confidence: float) -> float:
    """Return the lower bound on mu that one threshold's errors give, 0 or more.

    A mechanism that is mu-GDP has Phi^-1(1 - FPR) - Phi^-1(FNR) <= mu at every threshold. Each rate has an upper bound
    that fails with probability at most (1 - confidence) / 2, so that the result is above mu with at most 1 - confidence.

    Args:
        false_positives: runs without the canary in which it was seen.
        without: all runs without it.
        false_negatives: runs with the canary in which it was not seen.
        present: all runs with it.
        confidence: of the result, in (0, 1).

    Raises:
        ConfigError: as `clopper_pearson`.

    Source: Dong, Roth, Su 2022, definition 2.6; Nasr et al. 2023, section 4 (the bound from counts).
    """
    each = 1 - (1 - confidence) / 2
    fpr = clopper_pearson(false_positives, without, each)
    fnr = clopper_pearson(false_negatives, present, each)
    return float(_mu(np.array([fpr]), np.array([fnr]))[0])


def best_threshold(without: Scores, present: Scores) -> float:
    """Return the threshold with the largest bound on these scores, to be judged on others; the middle one of equals."""
    both = np.concatenate((without, present))
    candidates = np.append(np.quantile(both, np.linspace(0, 1, _CANDIDATES)), (without.mean() + present.mean()) / 2)
    candidates.sort()
    positives = without.size - np.searchsorted(np.sort(without), candidates, side="left")
    negatives = np.searchsorted(np.sort(present), candidates, side="left")
    bounds = _mu(_upper(positives, without.size, _SURE), _upper(negatives, present.size, _SURE))
    best = np.flatnonzero(bounds == bounds.max())
    return float((candidates[best[0]] + candidates[best[-1]]) / 2)


def checked_confidence(confidence: float) -> float:
    """Return it.

    Raises:
        ConfigError: it is not in (0, 1).
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: got {confidence}, needs more than 0 and less than 1", remedy="0.99 is usual")
    return confidence


def _upper(counts: npt.NDArray[Any], trials: int, confidence: float) -> Scores:
    beyond = np.minimum(counts, trials - 1)
    found = load("scipy.special").betaincinv(beyond + 1, trials - beyond, confidence)
    return np.where(counts < trials, found, 1.0)


def _mu(fpr: Scores, fnr: Scores) -> Scores:
    quantile = load("scipy.special").ndtri
    with np.errstate(invalid="ignore"):
        found = -quantile(fpr) - quantile(fnr)
    return np.where(found > 0, found, 0.0)

"""The audit of one run: many canaries, each in or out by a coin, and as many guesses about the coins.

Whatever an (epsilon, delta)-private run releases, the number of right guesses is hardly above a binomial variable with
probability e^epsilon / (1 + e^epsilon). The bound is conservative: it counts guesses, not how near to certain they were.

Source: Steinke, Nasr, Jagielski 2023, theorem 3.1 and appendix D.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from securefl.audit.bounds import Scores, checked_confidence
from securefl.audit.verdict import Verdict
from securefl.dp.accounting._extra import load
from securefl.dp.accounting.floats import open_delta
from securefl.errors import ConfigError

_BISECTIONS: Final = 40

_MOST_EPSILON: Final = 64.0

_FRACTIONS: Final = (0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""Shares of the canaries about which guessing may pay best."""


def one_run_p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return a bound on the probability that an (epsilon, delta)-private run lets so many guesses be right.

    Args:
        canaries: m, each included by a fair coin of its own.
        guesses: r, at most m; about the others nothing is said.
        correct: v, at most r.
        epsilon: 0 or more.
        delta: 0 to 1.

    Raises:
        ConfigError: counts that do not fit each other, or the `dp` extra is not installed.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ConfigError(
            f"{correct} right of {guesses} guesses about {canaries} canaries", remedy="right <= guesses <= canaries"
        )
    if correct == 0:
        return 1.0
    right = 1 / (1 + math.exp(-epsilon))
    at_least = np.arange(correct, 0, -1)  # v, v - 1, ..., 1; at least 0 are right for certain
    tails = np.append(load("scipy.special").betainc(at_least, guesses - at_least + 1, right), 1.0)
    slope = float(((tails[1:] - tails[0]) / np.arange(1, correct + 1)).max())
    return min(1.0, float(tails[0]) + 2 * canaries * delta * slope)


def one_run_epsilon(canaries: int, guesses: int, correct: int, *, delta: float, confidence: float) -> float:
    """Return the lower bound on epsilon at delta that so many right guesses give, 0 or more.

    It is above the truth with probability at most 1 - confidence, if the number of guesses was chosen without looking.

    Raises:
        ConfigError: as `one_run_p_value`, or confidence out of range.
        UnsafePlanError: delta outside (0, 1).
    """
    open_delta(delta)
    level = 1 - checked_confidence(confidence)

    def refuted(epsilon: float) -> bool:
        return one_run_p_value(canaries, guesses, correct, epsilon, delta) < level

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high) and high < _MOST_EPSILON:
        low, high = high, 2 * high
    return _last(refuted, low, high)


def guesses_for(canaries: int, mu: float, *, delta: float, confidence: float) -> int:
    """Return how many guesses would show most if mu were what is claimed: chosen before anything is seen.

    They are about the scores that are farthest from the middle of both means.
    """

    def expected(guesses: int) -> float:
        correct = math.floor(guesses * _accuracy(guesses / canaries, mu))
        return one_run_epsilon(canaries, guesses, correct, delta=delta, confidence=confidence)

    sizes = sorted({math.ceil(share * canaries) for share in _FRACTIONS}, reverse=True)
    return max(sizes, key=expected)


def right_guesses(scores: Scores, included: npt.NDArray[np.bool_], guesses: int) -> int:
    """Return how many guesses are right, about as many scores as lie farthest from 1/2: in above, out below.

    Args:
        scores: of mean 1 where the canary is in, and of mean 0 where it is out.
        included: whether it was.
        guesses: at most the number of scores.
    """
    chosen = np.argsort(-np.abs(scores - 0.5), kind="stable")[:guesses]
    return int(np.count_nonzero((scores[chosen] > 0.5) == included[chosen]))


def _accuracy(share: float, mu: float) -> float:
    """How often the guesses about this share of all scores are right: N(mu, 1) for those in, N(0, 1) for those out."""
    below = load("scipy.special").ndtr
    edge = _last(lambda score: bool(below(mu - score) + below(-score) > share), -10.0, 10.0 + mu)
    return float(below(mu - edge) / share)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The last number for which this holds, from below: it does at `low`, and from some number up to `high` no more."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


@dataclasses.dataclass(frozen=True, slots=True)
class OneRunAudit:
    """What one run says about a claimed epsilon.

    Args:
        name: what was audited.
        unit: what a canary stands for.
        canaries: m.
        guesses: r.
        correct: v.
        claimed_epsilon: the accountant's, at delta.
        lower_epsilon: epsilon is at least this, but for a chance of 1 - confidence.
        delta: of both.
        confidence: in (0, 1).
    """

    name: str
    unit: str
    canaries: int
    guesses: int
    correct: int
    claimed_epsilon: float
    lower_epsilon: float
    delta: float
    confidence: float

    @property
    def verdict(self) -> Verdict:
        """Whether the bound is above the claim."""
        return Verdict.on(self.claimed_epsilon, lower=self.lower_epsilon)

    @property
    def refuted(self) -> bool:
        """Whether the claim is wrong, but for a chance of 1 - confidence."""
        return self.verdict is Verdict.REFUTED

    def __str__(self) -> str:
        """Everything, on two lines."""
        return (
            f"{self.name}: {self.verdict} by one run\n"
            f"  {self.correct} of {self.guesses} guesses about {self.canaries} canaries, {self.unit}, are right; epsilon claimed "
            f"{self.claimed_epsilon:.3f}, at least {self.lower_epsilon:.3f} at delta {self.delta:g} ({100 * self.confidence:g} % sure)"
        )

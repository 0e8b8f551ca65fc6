"""The audit of a mechanism: a lower bound on mu from many runs, held against the mu that is claimed.

It is mu that is compared, not epsilon: the slack of the accountant between the two would hide noise that is up to 6.4 %
too small.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from securefl.audit.bounds import best_threshold, checked_confidence, mu_bound
from securefl.audit.trials import Trial
from securefl.audit.verdict import Verdict
from securefl.crypto.random import OS, RandomSource
from securefl.dp.accounting.analytic_gaussian import gaussian_epsilon
from securefl.errors import ConfigError

LEAST_RUNS: Final = 100

_PILOT: Final = 10
"""One run in so many chooses the threshold; the others are judged by it."""


@dataclasses.dataclass(frozen=True, slots=True)
class MechanismAudit:
    """What so many runs say about a claimed mu.

    Args:
        name: what was audited.
        claimed_mu: D2 / sqrt(V).
        lower_mu: the mechanism's mu is at least this, but for a chance of 1 - confidence.
        confidence: in (0, 1).
        runs: with the canary, and as many without, that were judged.
        false_positives: runs without the canary in which it was seen.
        false_negatives: runs with the canary in which it was not seen.
        delta: of the epsilons, which are for people.
    """

    name: str
    claimed_mu: float
    lower_mu: float
    confidence: float
    runs: int
    false_positives: int
    false_negatives: int
    delta: float

    @property
    def verdict(self) -> Verdict:
        """Whether the bound is above the claim."""
        return Verdict.on(self.claimed_mu, lower=self.lower_mu)

    @property
    def refuted(self) -> bool:
        """Whether the claim is wrong, but for a chance of 1 - confidence."""
        return self.verdict is Verdict.REFUTED

    @property
    def claimed_epsilon(self) -> float:
        """Of a Gaussian of the claimed mu, at delta."""
        return gaussian_epsilon(self.delta, 1 / self.claimed_mu)

    @property
    def lower_epsilon(self) -> float:
        """Of a Gaussian of the bound, at delta."""
        return gaussian_epsilon(self.delta, 1 / self.lower_mu) if self.lower_mu > 0 else 0.0

    def __str__(self) -> str:
        """Everything, on two lines."""
        return (
            f"{self.name}: {self.verdict}\n"
            f"  mu claimed {self.claimed_mu:.4f}, at least {self.lower_mu:.4f} ({100 * self.confidence:g} % sure, {self.runs} runs "
            f"each way); epsilon {self.claimed_epsilon:.3f} and {self.lower_epsilon:.3f} at delta {self.delta:g}"
        )


def audit_mechanism(
    trial: Trial, *, runs: int = 100_000, confidence: float = 0.99, delta: float = 1e-5, random: RandomSource = OS
) -> MechanismAudit:
    """Run a mechanism so many times with a canary and as many without, and bound its mu from below.

    A tenth of the runs chooses the threshold, the others are counted, so the bound is valid whatever was chosen. A right
    claim is refuted with probability at most 1 - confidence; in truth far less, since both rates have to be underestimated:
    at .99 about one in 10^4.

    Args:
        trial: what to run, such as `ReleaseTrial(plan.release)` or `PlanTrial(plan)`.
        runs: of each kind, at least 100. At mu 1 the bound ends 2 % below the truth with 10^5, 7 % with 10^4.
        confidence: in (0, 1).
        delta: for the epsilons that are printed.
        random: the source of rounding and noise.

    Raises:
        ConfigError: an argument out of range, or the `dp` extra is not installed.

    Source: Nasr et al. 2023, section 4; privacy.md, Auditing.
    """
    checked_confidence(confidence)
    if runs < LEAST_RUNS:
        raise ConfigError(f"runs: got {runs}, needs at least {LEAST_RUNS}", remedy="100 000 are usual")
    without, present = (trial.scores(there, runs, random) for there in (False, True))
    pilot = runs // _PILOT
    threshold = best_threshold(without[:pilot], present[:pilot])
    positives = int(np.count_nonzero(without[pilot:] >= threshold))
    negatives = int(np.count_nonzero(present[pilot:] < threshold))
    judged = runs - pilot
    return MechanismAudit(
        name=trial.name,
        claimed_mu=trial.claimed,
        lower_mu=mu_bound(positives, judged, negatives, judged, confidence=confidence),
        confidence=confidence,
        runs=judged,
        false_positives=positives,
        false_negatives=negatives,
        delta=delta,
    )

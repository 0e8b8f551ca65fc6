"""Cohorts: many parties in groups, a secure aggregation each, whose decoded sums are added.

The cost of a complete graph grows with the square of its parties; of cohorts, with their number. What it costs instead: the server learns
the sum of every cohort, so a party hides among its cohort only, and colluders, floors and noise count per cohort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.encoding.tree import walk
from securefl.engines.division import Cohort, divide, split
from securefl.engines.faults import Fault
from securefl.engines.memory import MemorySession, check_party
from securefl.errors import BelowThresholdError, RoundAbortedError
from securefl.pipeline import decode_sum
from securefl.pipeline.decode import as_dtype
from securefl.pipeline.private import release_of
from securefl.plan import Plan
from securefl.session import RoundResult
from securefl.session.result import Spent, spent_of
from securefl.types import Step, Tree

if TYPE_CHECKING:
    from securefl.engines.actors import KeyHolder

__all__ = ["CohortsResult", "Total", "aggregate_cohorts", "split"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CohortsResult:
    """The outcome of one round in cohorts.

    Args:
        mean: weighted mean over all cohorts that ended well, in the template's dtypes.
        sum: weighted sum over them; float64 for float leaves, int64 for integer ones.
        weight_sum: sum of their survivors' weights.
        metrics: weighted mean of each metric of the plan.
        results: what each cohort yielded, by its name.
        failed: the error that ended a cohort, by its name; its parties are not in the sum.
        members: the parties of each cohort.
        spent: what all rounds so far cost the party that spent most, in any cohort, under privacy.
    """

    mean: Tree
    sum: Tree
    weight_sum: int
    metrics: Mapping[str, float]
    results: Mapping[str, RoundResult]
    failed: Mapping[str, RoundAbortedError]
    members: Mapping[str, tuple[str, ...]]
    spent: Spent | None = None

    @property
    def survivors(self) -> tuple[str, ...]:
        """The parties whose vectors are in the sum."""
        return tuple(name for result in self.results.values() for name in result.survivors)

    @property
    def smallest(self) -> int:
        """Vectors in the smallest sum that the server learned: what a party hides among."""
        return min(len(result.survivors) for result in self.results.values())

    @property
    def bytes_up(self) -> int:
        """Bytes that all parties of the cohorts that ended well sent."""
        return sum(result.bytes_up for result in self.results.values())

    @property
    def bytes_down(self) -> int:
        """Bytes that their servers sent."""
        return sum(result.bytes_down for result in self.results.values())

    def report(self) -> str:
        """What was computed, by which cohorts, and what that revealed, as text."""
        lines = [
            f"Sum of {len(self.survivors)} vectors in {len(self.results)} cohorts, {len(self.failed)} cohorts failed",
            f"Bytes: {self.bytes_up} up, {self.bytes_down} down",
            f"The server learns the sum of every cohort: each party hides among the vectors of its own, at least {self.smallest}.",
        ]
        for name, members in self.members.items():
            if name in self.failed:
                lines.append(f"  {name}: {len(members)} parties, failed: {self.failed[name]}")
            else:
                lines.append(f"  {name}: {len(self.results[name].survivors)} of {len(members)} parties")
        return "\n".join([*lines, "", "Of one cohort:", next(iter(self.results.values())).report()])


def aggregate_cohorts(
    updates: Mapping[str, Tree],
    plan: Plan,
    weights: Mapping[str, int] | None = None,
    *,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    drop: Mapping[str, Step | str] | None = None,
    faults: Iterable[Fault] = (),
    min_cohorts: int = 1,
    ledger: PrivacyLedger | None = None,
    key_holder: KeyHolder | None = None,
    random: RandomSource = OS,
) -> CohortsResult:
    """Sum the updates of many parties in memory: split them at random, run a secure aggregation each, add the sums.

        plan = sfl.Plan(template=..., parties=100, protocol=sfl.SecAgg(server="active", max_colluders=20, dropout=0.1))
        result = sfl.aggregate_cohorts(updates_of_ten_thousand, plan)

    Args:
        updates: one tree of arrays a party, by name.
        plan: for one cohort; `parties` is the least number of parties of each. Larger ones get the same plan for their number.
        weights: a whole number a party, up to the plan's `max_weight`; all 1 by default.
        metrics: the plan's metrics, by party.
        drop: the step that a party does not complete, by party.
        faults: whatever else goes wrong; a lie of the server falls in the cohort of the parties that it names.
        min_cohorts: how many cohorts must end well; the others are reported as failed.
        ledger: where releases are entered, under a private plan. Noise is sized for each cohort by itself, since the server learns
            the sum of each.
        key_holder: under a Paillier plan the private key, which decrypts the sum of every cohort.
        random: the source of the split, and of everything secret.

    Raises:
        UnsafePlanError: too few parties for a cohort, an unsafe plan for a larger one, or a total that would not fit 64 bits.
        ConfigError: weights, metrics or faults of others than the parties.
        EncodingError: an update that does not fit the plan; names party and tensor.
        PrivacyBudgetError: a private plan, and somebody's budget would be overspent; nothing was sent.
        BelowThresholdError: fewer than `min_cohorts` cohorts ended well; names each and why.
    """
    cohorts = divide(
        tuple(updates),
        plan,
        weights,
        metrics=metrics,
        drop=drop,
        faults=faults,
        min_cohorts=min_cohorts,
        random=random,
    )
    for cohort in cohorts:  # before any cohort has released a sum
        for name in cohort.parties:
            check_party(name, cohort.plan, updates[name], cohort.weights[name], cohort.metrics[name])
    sessions = [
        MemorySession(cohort.plan, cohort.parties, ledger=ledger, key_holder=key_holder, random=random)
        for cohort in cohorts
    ]
    for session in sessions:
        session.check_budget()
    total = Total(plan, cohorts)
    for cohort, session in zip(cohorts, sessions, strict=True):
        try:
            result = session.round(
                {party: updates[party] for party in cohort.parties},
                weights=cohort.weights,
                metrics=cohort.metrics,
                faults=cohort.faults,
            )
        except RoundAbortedError as error:
            total.fail(cohort.name, error)
        else:
            total.add(cohort.name, result)
    added = total.result(min_cohorts)
    spent = None if ledger is None else spent_of(ledger)
    # Each was told while the others had not been charged: the headline is the maximum over all of them.
    results = {name: dataclasses.replace(result, spent=spent) for name, result in added.results.items()}
    return dataclasses.replace(added, results=results, spent=spent)


class Total:
    """The sums of cohorts, added as they come.

    Args:
        plan: for one cohort.
        cohorts: all of them.
    """

    def __init__(self, plan: Plan, cohorts: Sequence[Cohort]) -> None:
        self.failed: dict[str, RoundAbortedError] = {}
        self._plan = plan
        self._members = {cohort.name: cohort.parties for cohort in cohorts}
        self._results: dict[str, RoundResult] = {}
        self._integers = np.zeros(0 if plan.private else plan.length, dtype=np.int64)
        self._sums: list[npt.NDArray[Any]] = []

    def add(self, name: str, result: RoundResult, *, kept: RoundResult | None = None) -> None:
        """Add the sum of a cohort that ended well.

        Args:
            name: its name.
            result: what it yielded.
            kept: what is kept of it; all of it by default.
        """
        if self._plan.private:  # each cohort has a grid of its own: decoded sums are what can be added
            named = dict(walk(result.sum))
            sums = [named[leaf.name] for leaf in self._plan.layout.leaves]
            self._sums = [one + other for one, other in zip(self._sums, sums, strict=True)] if self._sums else sums
        else:
            self._integers += result.integers  # never wraps: `divide` has checked the bits for all parties together
        self._results[name] = kept or result

    def fail(self, name: str, error: RoundAbortedError) -> None:
        """Note the error that ended a cohort."""
        self.failed[name] = error

    def result(self, min_cohorts: int) -> CohortsResult:
        """The sum over all cohorts that ended well, each of which stands in the order of its name.

        Raises:
            BelowThresholdError: fewer than `min_cohorts`; names each that failed and why.
        """
        failed = {name: self.failed[name] for name in self._members if name in self.failed}
        results = {name: self._results[name] for name in self._members if name in self._results}
        if len(results) < min_cohorts:
            raise BelowThresholdError(
                f"{len(results)} of {len(self._members)} cohorts ended well, {min_cohorts} are needed; "
                + "; ".join(f"{name}: {error.reason}" for name, error in failed.items()),
                suspects=sorted({suspect for error in failed.values() for suspect in error.suspects}),
                remedy="start a new round, with larger cohorts or a plan for more dropouts",
            )
        survivors = sum(len(result.survivors) for result in results.values())
        if self._plan.private:
            mean, total = self._decoded_privately()
            return CohortsResult(
                mean=mean,
                sum=total,
                weight_sum=survivors,
                metrics={},
                results=results,
                failed=failed,
                members=self._members,
            )
        decoded = decode_sum(self._plan, self._integers, survivors)
        return CohortsResult(
            mean=decoded.mean,
            sum=decoded.total,
            weight_sum=decoded.weight_sum,
            metrics=decoded.metrics,
            results=results,
            failed=failed,
            members=self._members,
        )

    def _decoded_privately(self) -> tuple[Tree, Tree]:
        """Mean and sum; the mean is over a number that was fixed before, failed cohorts included."""
        plan, members = self._plan, self._members
        explicit = release_of(plan).mechanism.denominator
        over = sum(map(len, members.values())) if explicit is None else explicit * len(members)
        means = [
            as_dtype(total / over, np.dtype(leaf.dtype))
            for leaf, total in zip(plan.layout.leaves, self._sums, strict=True)
        ]
        return plan.layout.unflatten(means), plan.layout.unflatten(self._sums)

"""Cohorts: many parties in groups, a secure aggregation each, whose decoded sums are added.

The cost of a complete graph grows with the square of its parties; of cohorts, with their number. What it costs instead: the server learns
the sum of every cohort, so a party hides among its cohort only, and colluders, floors and noise count per cohort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from securefl.crypto.random import OS, RandomSource
from securefl.dp.ledger import PrivacyLedger
from securefl.encoding.ring import required_bits
from securefl.encoding.tree import walk
from securefl.engines.faults import Equivocate, Fault, collect
from securefl.engines.memory import MemorySession, check_party
from securefl.errors import BelowThresholdError, ConfigError, RoundAbortedError, UnsafePlanError
from securefl.pipeline import decode_sum
from securefl.pipeline.decode import as_dtype
from securefl.pipeline.private import release_of
from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.secagg.graph import shuffle
from securefl.session import RoundResult
from securefl.session.result import Spent, spent_of
from securefl.types import Graph, Step, Tree

if TYPE_CHECKING:
    from securefl.engines.actors import KeyHolder


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


def split(parties: Sequence[str], size: int, random: RandomSource = OS) -> dict[str, tuple[str, ...]]:
    """Split parties at random into cohorts of at least `size`, as equal as can be; their names by cohort.

    Raises:
        UnsafePlanError: there are fewer parties than one cohort needs.
    """
    if len(parties) < size:
        raise UnsafePlanError(
            "too few parties for one cohort",
            value=len(parties),
            bound=f">= {size}, the parties of the plan",
            remedy=f"plan for cohorts of at most {len(parties)}, or invite more parties",
        )
    order = list(range(len(parties)))
    shuffle(order, random)
    count = len(parties) // size
    width = len(str(count - 1))
    return {f"cohort-{i:0{width}}": tuple(parties[place] for place in sorted(order[i::count])) for i in range(count)}


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
    members = split(tuple(updates), int(plan.parameters.parties), random)
    if not plan.private:
        required_bits(len(updates), plan.max_weight, plan.fixed_point.max_value)
    if not 1 <= min_cohorts <= len(members):
        raise ConfigError(
            f"min_cohorts is {min_cohorts}, {len(members)} cohorts come of {len(updates)} parties",
            remedy=f"choose within 1..{len(members)}",
        )
    weights = dict.fromkeys(updates, 1) if weights is None else weights
    metrics = {name: {} for name in updates} if metrics is None else metrics
    for what, given in (("weights", weights), ("metrics", metrics)):
        if odd := sorted(set(given) ^ set(updates)):
            raise ConfigError(
                f"{what} are not those of the parties: {', '.join(odd[:8])}", remedy="give one entry for each party"
            )
    for name, update in updates.items():  # before any cohort has released a sum
        check_party(name, plan, update, weights[name], metrics[name])
    wrong = collect(faults, drop, updates, steps=plan.steps)
    for fault in wrong:
        if not any(_named(fault) <= set(parties) for parties in members.values()):
            raise ConfigError(
                f"{fault!r} names parties of more than one cohort, each of which has a server of its own",
                remedy="name parties of one cohort; the split is random unless `random` is given",
            )
    results: dict[str, RoundResult] = {}
    failed: dict[str, RoundAbortedError] = {}
    sessions = {name: _session(plan, name, parties, ledger, key_holder, random) for name, parties in members.items()}
    for session in sessions.values():
        session.check_budget()
    for name, parties in members.items():
        try:
            results[name] = sessions[name].round(
                {party: updates[party] for party in parties},
                weights={party: weights[party] for party in parties},
                metrics={party: metrics[party] for party in parties},
                faults=[fault for fault in wrong if _named(fault) <= set(parties)],
            )
        except RoundAbortedError as error:
            failed[name] = error
    if len(results) < min_cohorts:
        raise BelowThresholdError(
            f"{len(results)} of {len(members)} cohorts ended well, {min_cohorts} are needed; "
            + "; ".join(f"{name}: {error.reason}" for name, error in failed.items()),
            suspects=sorted({suspect for error in failed.values() for suspect in error.suspects}),
            remedy="start a new round, with larger cohorts or a plan for more dropouts",
        )
    spent = None if ledger is None else spent_of(ledger)
    # Each was told while the others had not been charged: the headline is the maximum over all of them.
    results = {name: dataclasses.replace(result, spent=spent) for name, result in results.items()}
    return dataclasses.replace(_added(plan, results, failed, members), spent=spent)


def _session(
    plan: Plan,
    name: str,
    parties: tuple[str, ...],
    ledger: PrivacyLedger | None,
    key_holder: KeyHolder | None,
    random: RandomSource,
) -> MemorySession:
    try:
        fitting = plan if len(parties) == plan.parties else _fitted(plan, len(parties))
    except UnsafePlanError as error:
        raise UnsafePlanError(
            f"{name} has {len(parties)} parties: {error.rule}",
            value=error.value,
            bound=error.bound,
            remedy=error.remedy,
        ) from error
    return MemorySession(fitting, parties, ledger=ledger, key_holder=key_holder, random=random)


def _fitted(plan: Plan, size: int) -> Plan:
    """The plan for a larger cohort, which holds all that the plan holds: graph, colluders, floor, and at least its threshold."""
    chosen = plan.parameters
    if isinstance(plan.protocol, Paillier):
        return plan.replace(parties=size)
    needed = (size + chosen.max_colluders) // 2 + 1 if chosen.active else chosen.threshold
    complete = chosen.graph is Graph.COMPLETE
    protocol = dataclasses.replace(
        plan.protocol,
        server=chosen.server,
        graph=chosen.graph,
        max_colluders=chosen.max_colluders,
        threshold=max(chosen.threshold, needed) if complete else None,
        min_survivors=chosen.min_survivors if complete else None,
        neighbours=None,
    )
    return plan.replace(parties=size, protocol=protocol)


def _named(fault: Fault) -> set[str]:
    return {*fault.parties, *fault.hide} if isinstance(fault, Equivocate) else {fault.party}


def _added(
    plan: Plan,
    results: dict[str, RoundResult],
    failed: dict[str, RoundAbortedError],
    members: dict[str, tuple[str, ...]],
) -> CohortsResult:
    if plan.private:
        return _added_privately(plan, results, failed, members)
    total = np.zeros(plan.length, dtype=np.int64)
    for result in results.values():
        total += result.integers  # never wraps: `aggregate_cohorts` has checked the bits for all parties together
    decoded = decode_sum(plan, total, sum(len(result.survivors) for result in results.values()))
    return CohortsResult(
        mean=decoded.mean,
        sum=decoded.total,
        weight_sum=decoded.weight_sum,
        metrics=decoded.metrics,
        results=results,
        failed=failed,
        members=members,
    )


def _added_privately(
    plan: Plan,
    results: dict[str, RoundResult],
    failed: dict[str, RoundAbortedError],
    members: dict[str, tuple[str, ...]],
) -> CohortsResult:
    """Add decoded sums, as each cohort has a grid of its own; the mean is over a number that was fixed before, failed cohorts included."""
    sums = [dict(walk(result.sum)) for result in results.values()]
    totals = [np.sum([named[leaf.name] for named in sums], axis=0) for leaf in plan.layout.leaves]
    release = release_of(plan)
    explicit = release.mechanism.denominator
    over = sum(len(parties) for parties in members.values()) if explicit is None else explicit * len(members)
    means = [
        as_dtype(total / over, np.dtype(leaf.dtype)) for leaf, total in zip(plan.layout.leaves, totals, strict=True)
    ]
    return CohortsResult(
        mean=plan.layout.unflatten(means),
        sum=plan.layout.unflatten(totals),
        weight_sum=sum(len(result.survivors) for result in results.values()),
        metrics={},
        results=results,
        failed=failed,
        members=members,
    )

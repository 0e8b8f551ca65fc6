"""Who is in which cohort, under which plan, and with what inputs and faults: settled and checked before any cohort begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from securefl.crypto.random import OS, RandomSource
from securefl.encoding.ring import required_bits
from securefl.engines.faults import Equivocate, Fault, collect
from securefl.errors import ConfigError, UnsafePlanError
from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.secagg.graph import shuffle
from securefl.types import Graph, Step


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


@dataclasses.dataclass(frozen=True, slots=True)
class Cohort:
    """One cohort before its round.

    Args:
        name: its name.
        parties: its members, in order.
        plan: for its number of parties.
        weights: by party.
        metrics: the plan's metrics, by party.
        faults: what is to go wrong in it.
    """

    name: str
    parties: tuple[str, ...]
    plan: Plan
    weights: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    faults: tuple[Fault, ...]


def divide(
    parties: Sequence[str],
    plan: Plan,
    weights: Mapping[str, int] | None = None,
    *,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    drop: Mapping[str, Step | str] | None = None,
    faults: Iterable[Fault] = (),
    min_cohorts: int = 1,
    random: RandomSource = OS,
) -> tuple[Cohort, ...]:
    """Split parties at random into cohorts, each with the plan for its size.

    Args:
        parties: their names.
        plan: for one cohort; `parties` is the least number of parties of each.
        weights: by party; all 1 by default.
        metrics: by party.
        drop: the step that a party does not complete, by party.
        faults: whatever else goes wrong; each names parties of one cohort.
        min_cohorts: how many must end well.
        random: the source of the split.

    Raises:
        UnsafePlanError: too few parties for a cohort, an unsafe plan for a larger one, or a total that would not fit 64 bits.
        ConfigError: weights, metrics or faults of others than the parties, or a `min_cohorts` that cannot be.
    """
    members = split(parties, int(plan.parameters.parties), random)
    if not plan.private:
        required_bits(len(parties), plan.max_weight, plan.fixed_point.max_value)
    if not 1 <= min_cohorts <= len(members):
        raise ConfigError(
            f"min_cohorts is {min_cohorts}, {len(members)} cohorts come of {len(parties)} parties",
            remedy=f"choose within 1..{len(members)}",
        )
    weights = dict.fromkeys(parties, 1) if weights is None else weights
    metrics = {name: {} for name in parties} if metrics is None else metrics
    for what, given in (("weights", weights), ("metrics", metrics)):
        if odd := sorted(set(given) ^ set(parties)):
            raise ConfigError(
                f"{what} are not those of the parties: {', '.join(odd[:8])}", remedy="give one entry for each party"
            )
    wrong = _by_cohort(collect(faults, drop, parties, steps=plan.steps), members)
    sizes = {len(names): name for name, names in reversed(members.items())}
    plans = {size: _plan_for(plan, name, size) for size, name in sizes.items()}
    return tuple(
        Cohort(
            name,
            names,
            plans[len(names)],
            {party: weights[party] for party in names},
            {party: metrics[party] for party in names},
            tuple(wrong[name]),
        )
        for name, names in members.items()
    )


def _by_cohort(faults: Iterable[Fault], members: Mapping[str, tuple[str, ...]]) -> dict[str, list[Fault]]:
    home = {party: name for name, names in members.items() for party in names}
    found: dict[str, list[Fault]] = {name: [] for name in members}
    for fault in faults:
        named = {*fault.parties, *fault.hide} if isinstance(fault, Equivocate) else {fault.party}
        homes = {home[party] for party in named}
        if len(homes) > 1:
            raise ConfigError(
                f"{fault!r} names parties of more than one cohort, each of which has a server of its own",
                remedy="name parties of one cohort; the split is random unless `random` is given",
            )
        for name in homes or members:  # a lie to nobody is told everywhere
            found[name].append(fault)
    return found


def _plan_for(plan: Plan, name: str, size: int) -> Plan:
    try:
        return plan if size == plan.parties else _fitted(plan, size)
    except UnsafePlanError as error:
        raise UnsafePlanError(
            f"{name} has {size} parties: {error.rule}",
            value=error.value,
            bound=error.bound,
            remedy=error.remedy,
        ) from error


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

"""The noise of a plan from a target epsilon: dimension, parties, bits and floor decide how much that is."""

from __future__ import annotations

import dataclasses

from securefl.dp.accounting import Accountant, Guarantee, Relation, Repeated, Unit, guarantees
from securefl.dp.accounting import calibrate as least_noise
from securefl.dp.accounting.events import Event, check_count
from securefl.dp.mechanisms import Mechanism
from securefl.errors import UnsafePlanError
from securefl.pipeline.private import release_of
from securefl.plan import Plan


def calibrate(
    plan: Plan,
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    unit: Unit | str | None = None,
    relation: Relation | str | None = None,
    accountant: Accountant | str = Accountant.RDP,
) -> Plan:
    """Return the plan with the least noise with which so many rounds cost at most epsilon, to within 1e-5, against an observer.

        plan = sfl.Plan(template=..., parties=100, privacy=sfl.DistributedDiscreteGaussian(clip=1.0))
        plan = sfl.dp.calibrate(plan, epsilon=8.0, delta=1e-3, rounds=30)

    Against the server the same holds for distributed and local noise, and nothing for central noise, which the server adds itself.

    Args:
        plan: private; a noise multiplier that it has is replaced.
        epsilon: the target, positive.
        delta: in (0, 1); well below one over the number of parties.
        rounds: T; every party takes part in each.
        unit: whose influence is bounded; the plan's unless given.
        relation: which datasets are neighbours; the plan's unless given.
        accountant: whose bound must meet the target.

    Raises:
        UnsafePlanError: the plan has no mechanism, no noise meets the target or fits the ring, or the relation or unit is not one that
            the mechanism yields.
        ConfigError: the `dp` extra is not installed.
    """
    asked = plan.privacy
    if not isinstance(asked, Mechanism):
        raise UnsafePlanError(
            "a plan without differential privacy has no noise to choose",
            value=None,
            bound="a mechanism",
            remedy="plan.replace(privacy=securefl.DistributedDiscreteGaussian(clip=...))",
        )
    check_count("the number of rounds", rounds)
    asked = dataclasses.replace(
        asked, unit=asked.unit if unit is None else unit, relation=asked.relation if relation is None else relation
    )

    def planned(multiplier: float) -> Plan:
        return plan.replace(privacy=dataclasses.replace(asked, noise_multiplier=multiplier))

    def event_of(multiplier: float) -> Event:
        return Repeated(release_of(planned(multiplier)).event, rounds)

    found = least_noise(
        event_of,
        epsilon=epsilon,
        delta=delta,
        relation=Relation.parse(asked.relation),
        accountant=Accountant(accountant),
        draws=_draws(plan, asked) * rounds,
    )
    return planned(found.noise)


def privacy_of(plan: Plan, *, delta: float, rounds: int) -> tuple[Guarantee, Guarantee]:
    """Return what so many rounds of a plan guarantee: against the server, and against an observer of the results.

    Args:
        plan: private.
        delta: in (0, 1).
        rounds: T.

    Raises:
        UnsafePlanError: delta or rounds out of range.
        LocalProtocolError: the plan has no noise.
        ConfigError: the `dp` extra is not installed.
    """
    release = release_of(plan)
    asked, floor = release.mechanism, release.floor
    return guarantees(
        Repeated(release.event, rounds),
        delta=delta,
        relation=Relation.parse(asked.relation),
        unit=Unit.parse(asked.unit),
        rounds=rounds,
        colluders=floor.colluders,
        floor=floor.survivors,
        draws=release.draws * rounds,
    )


def _draws(plan: Plan, asked: Mechanism) -> int:
    extra = getattr(asked, "max_dropouts", 0)
    return plan.parameters.parties * plan.length * (1 + int(extra))
